package dscptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A capture reads every TCP segment that arrives for a box off the wire. Linux
// puts a segment into a ring before it hands it to TCP, so that all segments
// whose payload the box has read are there. Whoever looks empties the rings
// first; so that they do not run over while nobody does, a goroutine for each
// empties them as well.
//
// What clients send has a ring of its own: all of that is the box's, while the
// upstream may have many other clients, and what it sends to those must not take
// the room of a SYN.
type capture struct {
	port     uint16 // the box's
	clients  *packetRing
	upstream *packetRing
	stop     chan struct{} // closed to end the goroutines
	running  sync.WaitGroup

	mu      sync.Mutex // for reading the rings, too
	closed  bool
	taps    map[route]*tap
	begun   []opening // the latest, whether claimed or not
	claimed int       // how many taps are
	gaps    bool      // there may be connections whose SYN is not known
	packets int       // that arrived, lost ones included
	missing int       // segments of the box's flows that were lost, or may have been among the lost ones
}

// A route is the one way of a connection.
type route struct{ from, to netip.AddrPort }

// An opening is a SYN on its route.
type opening struct {
	route
	isn uint32
}

// A tap is what a capture has seen of one route, from its SYN on.
type tap struct {
	isn     uint32
	first   dscp.CodePoint // the mark of the SYN or SYN-ACK
	mark    dscp.CodePoint // the latest
	end     int64          // bytes of payload so far
	news    []sight        // changes that the box has not been shown
	claimed bool           // by a connection

	// Of a tap that began without its SYN:
	late  bool // nothing has been seen yet, and neither isn nor mark is known
	vague bool // an unknown part of the payload came before
}

const (
	// maxBegun is how many SYNs may come before one is forgotten that never
	// became a connection.
	maxBegun = 8192

	// restTime is how long a goroutine that empties a ring rests after it did,
	// rather than be woken for each segment. Timers of a busy process may take a
	// hundred times as long.
	restTime = time.Millisecond
)

// openCapture captures what arrives for a box with this port before upstream.
func openCapture(v6 bool, port uint16, upstream netip.AddrPort) (*capture, error) {
	clients, err := openPacketRing(v6, toBox(v6, port))
	if err != nil {
		return nil, err
	}
	theirs, err := openPacketRing(v6, fromUpstream(v6, upstream))
	if err != nil {
		return nil, errors.Join(err, clients.unmap(), clients.file.Close())
	}
	c := &capture{
		port: port, clients: clients, upstream: theirs,
		taps: make(map[route]*tap), stop: make(chan struct{}),
	}
	for _, r := range c.rings() {
		c.running.Go(func() { c.follow(r) })
	}
	return c, nil
}

func (c *capture) rings() [2]*packetRing { return [...]*packetRing{c.clients, c.upstream} }

// follow empties a ring whenever something has come, until c is closed.
func (c *capture) follow(r *packetRing) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	r.raw.Read(func(uintptr) bool {
		c.mu.Lock()
		c.empty(r)
		c.mu.Unlock()
		rest.Reset(restTime)
		select {
		case <-rest.C:
			return false // wait for more
		case <-c.stop:
			return true
		}
	})
}

func (c *capture) close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.drain()
	errs := []error{c.settle(), c.lost()}
	c.closed = true
	for _, r := range c.rings() {
		errs = append(errs, r.unmap())
	}
	c.mu.Unlock()
	close(c.stop)
	for _, r := range c.rings() {
		errs = append(errs, r.file.Close())
	}
	c.running.Wait()
	return errors.Join(errs...)
}

// drain takes in all that has arrived. c.mu is held.
func (c *capture) drain() {
	for _, r := range c.rings() {
		c.empty(r)
	}
}

// empty takes in what has arrived in one ring. c.mu is held.
func (c *capture) empty(r *packetRing) {
	r.read(c.take, func() { c.takeStock(r) })
}

// settle takes stock of both rings. c.mu is held.
func (c *capture) settle() error {
	if c.closed {
		return nil
	}
	return errors.Join(c.takeStock(c.clients), c.takeStock(c.upstream))
}

// takeStock takes stock of the segments that found no place in the ring, since
// it did last: they count where there was a flow to which they may have
// belonged. The box connects to the upstream after it claimed the client's tap.
// c.mu is held.
func (c *capture) takeStock(r *packetRing) error {
	arrived, dropped, err := r.stats()
	if err != nil {
		return err
	}
	c.packets += arrived
	if dropped > 0 {
		c.gaps = true
		if c.claimed > 0 || r == c.clients && c.awaited() {
			c.missing += dropped
		}
	}
	return nil
}

// awaited reports whether there are clients that have yet to be accepted. c.mu is
// held.
func (c *capture) awaited() bool {
	for r := range c.taps {
		if r.to.Port() == c.port {
			return true
		}
	}
	return false
}

// lost says how many segments of the box's flows were not seen: a sensor that
// promises every segment has to own up. c.mu is held.
func (c *capture) lost() error {
	if c.missing == 0 {
		return nil
	}
	return fmt.Errorf("dscptest: %d of %d segments were not captured, and a change may have been missed", c.missing, c.packets)
}

// take takes in one packet. c.mu is held.
func (c *capture) take(b []byte) {
	s, ok := parseSegment(b)
	if !ok || s.flags&flagRST != 0 {
		return // a reset of a connection that is gone carries its peer's mark
	}
	t := c.taps[s.route]
	if s.flags&flagSYN != 0 {
		if t == nil || t.isn != s.seq && !t.late {
			c.add(s)
		}
		return
	}
	if t == nil {
		return // from before the box
	}
	if t.late {
		t.late = false
		t.isn = s.seq - 1 - uint32(t.end)
		t.first, t.mark = s.mark, s.mark
		t.news = append(t.news, t.sight(s.mark, t.end))
	}
	offset := max(0, t.end+int64(int32(s.seq-(t.isn+1+uint32(t.end)))))
	if s.mark != t.mark {
		if len(t.news) < maxChanges {
			t.news = append(t.news, t.sight(s.mark, offset))
		}
		t.mark = s.mark
	}
	t.end = max(t.end, offset+int64(s.payload))
}

// sight returns what the box is to be shown of a change at offset.
func (t *tap) sight(cp dscp.CodePoint, offset int64) sight {
	if t.vague {
		return sight{mark: cp, to: offset}
	}
	return sight{mark: cp, from: offset, to: offset}
}

// add begins a tap, and forgets one that nobody claimed for a long time. c.mu is
// held.
func (c *capture) add(s segment) {
	if len(c.begun) >= maxBegun {
		old := c.begun[0]
		// The route may have been released since, and begun again.
		if t := c.taps[old.route]; t != nil && t.isn == old.isn && !t.claimed {
			delete(c.taps, old.route)
			c.gaps = true
		}
		c.begun = c.begun[1:]
	}
	c.begun = append(c.begun, opening{s.route, s.seq})
	c.taps[s.route] = &tap{isn: s.seq, first: s.mark, mark: s.mark}
}

// probe claims the tap of what arrives on a connection.
func (c *capture) probe(conn *net.TCPConn) (probe, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, false
	}
	r := route{unzoned(conn.RemoteAddr()), unzoned(conn.LocalAddr())}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
	infos := newInfoReader(raw)
	t := c.taps[r]
	if c.claimed == 0 || t == nil {
		c.settle()
	}
	if t == nil {
		if t = c.addLate(r, infos); t == nil {
			return nil, false
		}
	}
	t.claimed = true
	c.claimed++
	return &captureProbe{capture: c, route: r, tap: t, shown: t.first, unseen: t.late, infos: infos}, true
}

// addLate begins the tap of a connection whose SYN was lost, with what comes
// next. It returns nil if nothing was lost: then the capture does not see this
// connection at all, which something rewrites perhaps. c.mu is held.
func (c *capture) addLate(r route, infos infoReader) *tap {
	if !c.gaps {
		return nil
	}
	at, ok := infos.position()
	if !ok {
		return nil
	}
	// The mark of a client's SYN was saved, and the acknowledgement after it
	// has none of its own; that of a SYN-ACK may have been foretold. Whatever
	// else has come was missed.
	handshake := uint32(1)
	if r.to.Port() == c.port {
		handshake = 2
	}
	if at.segments > handshake {
		c.missing += int(at.segments - handshake)
	}
	t := &tap{late: true, vague: at.bytes > 0, end: at.bytes}
	c.taps[r] = t
	return t
}

// A captureProbe shows one change after the other.
type captureProbe struct {
	capture *capture
	route   route
	tap     *tap
	shown   dscp.CodePoint
	unseen  bool // nothing has been shown: the SYN was lost
	infos   infoReader
}

func (p *captureProbe) look() (dscp.CodePoint, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.unseen {
		p.capture.drain()
		if len(p.tap.news) == 0 {
			return 0, false
		}
		return p.tap.news[0].mark, true
	}
	return p.shown, true
}

func (p *captureProbe) position() (position, bool) { return p.infos.position() }

func (p *captureProbe) next() (sight, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	p.capture.drain()
	if len(p.tap.news) == 0 {
		return sight{}, false
	}
	s := p.tap.news[0]
	p.tap.news = p.tap.news[1:]
	p.shown, p.unseen = s.mark, false
	return s, true
}

// release forgets the tap of a connection that is over.
func (p *captureProbe) release() {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.capture.claimed == 1 { // later losses are no flow's
		p.capture.drain()
		p.capture.settle()
	}
	p.capture.claimed--
	if p.capture.taps[p.route] == p.tap {
		delete(p.capture.taps, p.route)
	}
}

// unzoned returns an address as it stands in packets.
func unzoned(a net.Addr) netip.AddrPort {
	ap := addrPort(a)
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
}
