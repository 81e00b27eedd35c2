package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A box is one or two middleboxes in front of a server.
type box struct {
	*setup
	tally  *tally
	server *server
	chain  []*dscptest.Middlebox // the one that clients connect to comes first

	mu     sync.Mutex
	users  int
	visits []visit
	kept   []io.Closer
}

// A visit is a connection through a box.
type visit struct {
	client netip.AddrPort
	mark   dscp.CodePoint
	ended  bool // by the box, since the client has changed its mark
	leaks  bool // segments with other marks, which the box ignores
}

// alone reports whether the box did not interfere with f.
func alone(f dscptest.Flow) bool {
	return f.Verdict < dscptest.Drop || f.Verdict > dscptest.Reset
}

// start starts a box with one user.
func (w *worker) start(s *setup) (*box, error) {
	b := &box{setup: s, tally: w.tally, server: one(w, w.servers), users: 1}
	c := dscptest.Config{Upstream: b.server.address(), Models: s.behind}
	if s.behind != nil {
		if err := b.add(w, c); err != nil {
			return nil, err
		}
		// The box behind may itself change the mark towards its first client.
		c.Upstream, c.Inside = b.chain[0].Addr(), dscptest.Client
	}
	c.Models, c.Delay = s.models, s.delay
	if err := b.add(w, c); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// add puts a middlebox in front.
func (b *box) add(w *worker, c dscptest.Config) error {
	if w.chance(2) { // instead of the best sensor, one that needs no privilege
		addr, err := net.ResolveTCPAddr("tcp", c.Upstream)
		if err != nil {
			return err
		}
		if c.Sensor = dscptest.WireLatest; addr.IP.To4() != nil {
			c.Sensor = dscptest.SocketOption
		}
	}
	m, err := c.Start()
	if err != nil {
		return err
	}
	b.chain = slices.Insert(b.chain, 0, m)
	return nil
}

// String describes the box.
func (b *box) String() string {
	sensors := make([]string, len(b.chain))
	for i, m := range b.chain {
		sensors[i] = m.Sensor().String()
	}
	return fmt.Sprintf("box %s (%s) in front of %s", b.name, strings.Join(sensors, "; "), b.server.address())
}

func (b *box) address() string { return b.chain[0].Addr() }

// visited records a connection that is up.
func (b *box) visited(c *dscp.Conn, v visit) {
	v.client, v.mark = c.LocalAddr().(*net.TCPAddr).AddrPort(), c.DSCP()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.visits = append(b.visits, v)
}

// enter adds a user.
func (b *box) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users++
}

// keep closes c with the box. A box holds a connection that it has silenced, and
// drops everything from that address and port. If the client closed it, the kernel
// could give the port to the next client, whose SYN would be lost, too.
func (b *box) keep(c io.Closer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, c)
}

// done leaves the box, and adds its description to an error.
func (b *box) done(err *error) {
	if *err != nil {
		*err = fmt.Errorf("%v: %w", b, *err)
	}
	*err = errors.Join(*err, b.leave())
}

// leave closes the box after its last user.
func (b *box) leave() error {
	b.mu.Lock()
	b.users--
	last := b.users == 0
	b.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(b.close(), b.check())
}

func (b *box) close() error {
	var errs []error
	for _, m := range b.chain {
		err := m.Close()
		if err != nil && strings.Contains(err.Error(), "were not captured") {
			b.tally.expected("box", behind)
			err = nil
		}
		errs = append(errs, err)
	}
	for _, c := range b.kept {
		c.Close()
	}
	return errors.Join(errs...)
}

// check compares the records of a closed box with what its clients did.
func (b *box) check() error {
	flows, changes := map[netip.AddrPort][]dscptest.Flow{}, map[netip.AddrPort]bool{}
	for _, f := range b.chain[0].Flows() {
		if !f.Over || f.Err != nil {
			return fmt.Errorf("%v: over %v: %v", b, f.Over, f)
		}
		if strings.HasPrefix(f.Network, "tcp") {
			flows[f.Client] = append(flows[f.Client], f)
		}
	}
	for _, v := range b.visits {
		changes[v.client] = changes[v.client] || v.ended || v.leaks
		if !slices.ContainsFunc(flows[v.client], func(f dscptest.Flow) bool {
			return f.SYN == v.mark && (alone(f) != v.ended || v.ended && len(b.chain) > 1) // the second may have ended it
		}) {
			return fmt.Errorf("%v: no flow from %v has a SYN marked %v and was ended (%v): %v", b, v.client, v.mark, v.ended, flows[v.client])
		}
	}
	for client, fs := range flows {
		for _, f := range fs {
			if !changes[client] && (b.changed(f) || f.Reported != "" || !alone(f)) {
				return fmt.Errorf("%v: a flow with one mark was changed, reported or ended: %v", b, f)
			}
		}
	}
	return nil
}

// changed reports whether f shows a change that was not made by a box.
func (b *box) changed(f dscptest.Flow) bool {
	return slices.ContainsFunc(f.Changes, func(c dscptest.Change) bool {
		return c.Direction == dscptest.ClientToServer || len(b.chain) == 1
	})
}
