package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp/dscptest"
)

// patience is how long one strategy may take. On loopback all of them are done
// in milliseconds; over a -target's network a lost segment wants its
// retransmissions.
const patience = 10 * time.Second

// A lab is the servers, and the kind of box that stands before them.
type lab struct {
	network string // tcp4 or tcp6
	models  []dscptest.Model
	keys    *keyring
	web     *webServer
	sshd    *sshServer
	free    map[string]*observation // by the name of the strategy
}

// newLab starts the servers on the loopback address of network.
func newLab(ctx context.Context, network string, models []dscptest.Model) (*lab, error) {
	keys, err := newKeyring()
	if err != nil {
		return nil, err
	}
	l := &lab{network: network, models: models, keys: keys}
	listener, err := l.listen(ctx, plainListener)
	if err != nil {
		return nil, err
	}
	l.web = serveHTTP(listener)
	if l.sshd, err = l.serve(ctx, guest{listen: plainListener}); err != nil {
		l.web.Close()
		return nil, err
	}
	return l, nil
}

func (l *lab) Close() error {
	return errors.Join(l.web.Close(), l.sshd.Close())
}

// loopback is the address that everything runs on.
func (l *lab) loopback() string {
	if l.network == "tcp4" {
		return "127.0.0.1"
	}
	return "::1"
}

func (l *lab) listen(ctx context.Context, listen listenFunc) (net.Listener, error) {
	return listen(ctx, l.network, net.JoinHostPort(l.loopback(), "0"))
}

func (l *lab) serve(ctx context.Context, g guest) (*sshServer, error) {
	listener, err := l.listen(ctx, g.listen)
	if err != nil {
		return nil, err
	}
	s, err := serveSSH(listener, l.keys, g.accepted)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return s, nil
}

// sensor asks a box how it learns of marks. The error tells where no box runs.
func (l *lab) sensor() (dscptest.Sensor, error) {
	box, err := dscptest.Config{Upstream: l.sshd.Addr(), Models: l.models}.Start()
	if err != nil {
		return "", err
	}
	return box.Sensor(), box.Close()
}

// observe begins to run those strategies of list with nothing in the way of which
// nothing can be expected otherwise: what they show there tells what the box has to
// do. Each waits for other programs most of the time, so several run at once, and
// beside the strategies that are tried already. The function that it returns ends
// all of it.
func (l *lab) observe(ctx context.Context, list []strategy) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	places := make(chan struct{}, 4)
	l.free = make(map[string]*observation)
	for _, s := range list {
		if !s.observed || s.skip != "" || len(l.models) == 0 { // without a model, nothing is in the way later either
			continue
		}
		o := &observation{done: make(chan struct{})}
		l.free[s.name] = o
		all.Go(func() {
			defer close(o.done)
			places <- struct{}{}
			defer func() { <-places }()
			o.row, o.err = l.through(ctx, s, nil)
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// An observation is what a strategy shows with nothing in the way.
type observation struct {
	done chan struct{} // closed when the rest is known
	row  row
	err  error
}

// expect completes a strategy with what has been observed of it.
func (o *observation) expect(ctx context.Context, s *strategy) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if o.err != nil {
		return o.err
	}
	if s.skip = o.row.useless(); s.skip != "" {
		return nil
	}
	s.syn = known(o.row.marks[0])
	if o.row.marks.fatal() >= 0 {
		s.expect = broken
	}
	return nil
}

// try runs one strategy through a box of its own and tells what both the box
// and the program saw. Its error is one of the lab, not of the strategy.
func (l *lab) try(ctx context.Context, s strategy) (row, error) {
	if o := l.free[s.name]; o != nil {
		if err := o.expect(ctx, &s); err != nil {
			return row{}, err
		}
	}
	r := row{strategy: s.name, expected: s.expect, carries: s.syn}
	if len(l.models) == 0 && s.expect == broken {
		r.expected = works // nothing is in the way
	}
	if s.skip != "" {
		r.outcome, r.program = skipped, s.skip
		return r, nil
	}
	saw, err := l.through(ctx, s, l.models)
	saw.strategy, saw.expected, saw.carries = r.strategy, r.expected, r.carries
	return saw, err
}

// through runs a strategy through a box that is made of models.
func (l *lab) through(ctx context.Context, s strategy, models []dscptest.Model) (row, error) {
	var r row
	inside, sshd := dscptest.Client, server(l.sshd)
	start := s.serve
	switch {
	case start != nil:
		inside = dscptest.Server
	case s.observed: // beside others: a server of its own counts its logins alone
		start = guest{listen: plainListener}.serve
	}
	if start != nil {
		own, err := start(ctx, l)
		if skip, ok := errors.AsType[*skipError](err); ok {
			r.outcome, r.program = skipped, skip.Error()
			return r, nil
		}
		if err != nil {
			return r, err
		}
		defer own.Close()
		sshd = own
	}
	upstream := sshd.Addr()
	if s.web {
		upstream = l.web.Addr()
	}
	box, err := dscptest.Config{Upstream: upstream, Models: models, Inside: inside}.Start()
	if err != nil {
		return r, err
	}
	defer box.Close()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := place{
		network: l.network, addr: box.Addr(), host: box.Addr(), keys: l.keys, logins: sshd.Logins,
		user: l.keys.user, command: floodCommand,
	}
	if own, ok := sshd.(*openSSHD); ok {
		p.user, p.command = own.user, shellFlood
	}
	saw := s.run(ctx, p)
	if err := box.Close(); err != nil {
		return r, fmt.Errorf("closing the box: %w", err)
	}
	r.outcome, r.program = saw.outcome, saw.said
	if flows := box.Flows(); len(flows) > 0 {
		r.record(flows[0], inside)
	}
	return r, nil
}

// A skipError tells why a strategy cannot be tried on this machine.
type skipError struct{ reason string }

func (e *skipError) Error() string { return e.reason }

// chooseNetwork returns the network to use: IPv6, unless IPv4 is wanted or IPv6
// has no loopback address here, which why then tells.
func chooseNetwork(ctx context.Context, ipv4 bool) (network, why string) {
	if ipv4 {
		return "tcp4", ""
	}
	l, err := plainListener(ctx, "tcp6", "[::1]:0")
	if err != nil {
		return "tcp4", fmt.Sprintf("no IPv6 loopback here (%s), using IPv4", words(err))
	}
	l.Close()
	return "tcp6", ""
}
