package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/bpf"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
)

// A capture reads every TCP segment that arrives for a middlebox off the wire. Linux
// puts a segment into a ring before TCP gets it, so the rings have all segments whose
// payload the middlebox has read. A probe empties the rings before it answers. A
// goroutine for each ring empties it as well, so that it does not overflow while no
// probe is used.
//
// There is one ring for what clients send, all of which is for the middlebox, and one
// for what the upstream sends. The upstream may have many other clients, and what it
// sends to those must not take the room of a client's SYN.
type capture struct {
	port     uint16 // the middlebox's
	clients  *packet.Ring
	upstream *packet.Ring
	stop     chan struct{} // closed to end the goroutines
	running  sync.WaitGroup

	mu       sync.Mutex // for reading the rings, too
	closed   bool
	flows    map[route]*capturedFlow
	syns     []synRecord // the latest, claimed or not
	claimed  int         // how many flows are claimed
	lostSYNs bool        // there may be connections whose SYN is not known
	packets  int         // how many arrived, lost ones included
	missed   int         // how many lost segments belong, or may belong, to the middlebox's flows
}

// A route is one direction of a connection.
type route struct{ from, to netip.AddrPort }

// A synRecord identifies a SYN.
type synRecord struct {
	route
	isn uint32
}

// A capturedFlow is what a capture has seen of one direction, from its SYN on.
type capturedFlow struct {
	isn     uint32
	first   dscp.CodePoint // the mark of the SYN or SYN-ACK
	mark    dscp.CodePoint // the latest
	end     int64          // bytes of payload so far
	pending []Observation  // changes that the probe has not returned yet
	claimed bool           // by a probe

	// For a flow whose SYN was lost:
	noSegment bool // nothing has been seen yet, so isn and mark are not known
	inexact   bool // payload of unknown marks came before
}

const (
	// maxSYNs is how many SYNs a capture keeps. It drops the oldest one for
	// which there was no connection.
	maxSYNs = 8192

	// maxPending bounds the changes that a flow keeps for its probe.
	maxPending = 1000

	// RingFrames is how many packets a ring holds.
	RingFrames = 8192

	// restTime is how long a goroutine sleeps after it has emptied a ring, so that
	// it is not woken for each segment. In a busy process the timer may take a
	// hundred times as long.
	restTime = time.Millisecond
)

// openCapture captures what arrives for a middlebox with this port in front of
// upstream; local says whether upstream is an address of this network namespace.
//
// A ring sees packets before IP discards any. IP discards packets with these addresses
// on an interface other than loopback, for addresses of this namespace, and otherwise
// on one that is not that of the route. So each ring is bound to the right interface.
func openCapture(v6 bool, port uint16, upstream netip.AddrPort, local bool) (*capture, error) {
	clients, err := openRing(v6, loopbackIndex, toMiddlebox(v6, port))
	if err != nil {
		return nil, err
	}
	index := loopbackIndex
	if !local {
		index = routeInterface(upstream)
	}
	theirs, err := openRing(v6, index, fromUpstream(v6, upstream))
	if err != nil {
		return nil, errors.Join(err, clients.Unmap(), clients.Close())
	}
	c := &capture{
		port: port, clients: clients, upstream: theirs,
		flows: make(map[route]*capturedFlow), stop: make(chan struct{}),
	}
	for _, r := range c.rings() {
		c.running.Go(func() { c.follow(r) })
	}
	return c, nil
}

func openRing(v6 bool, index int, filter []bpf.Instruction) (*packet.Ring, error) {
	return packet.OpenRing(packet.RingConfig{Frames: RingFrames, Filter: ofFamily(v6, filter), Interface: index, Incoming: true})
}

// routeInterface returns the index of the interface that has the address from
// which upstream, outside this namespace, is reached. It is 0, for all interfaces,
// if there is no route, or if that address is one of loopback's, as where a host
// announces its address over several interfaces.
func routeInterface(upstream netip.AddrPort) int {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(upstream)) // sends nothing
	if err != nil {
		return 0
	}
	defer c.Close()
	own := withoutZone(c.LocalAddr()).Addr()
	interfaces, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == own && (upstream.Addr().Zone() == "" || upstream.Addr().Zone() == i.Name) {
					return i.Index
				}
			}
		}
	}
	return 0
}

func (c *capture) rings() [2]*packet.Ring { return [...]*packet.Ring{c.clients, c.upstream} }

// follow empties a ring whenever packets have arrived, until c is closed.
func (c *capture) follow(r *packet.Ring) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	r.Wait(func() bool {
		c.mu.Lock()
		c.empty(r)
		c.mu.Unlock()
		rest.Reset(restTime)
		select {
		case <-rest.C:
			return true
		case <-c.stop:
			return false
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
	errs := []error{c.settle(), c.lossError()}
	c.closed = true
	for _, r := range c.rings() {
		errs = append(errs, r.Unmap())
	}
	c.mu.Unlock()
	close(c.stop)
	// The kernel takes tens of milliseconds to close one, and no longer for two at
	// once.
	closed := make(chan error)
	for _, r := range c.rings() {
		go func() { closed <- r.Close() }()
	}
	for range c.rings() {
		errs = append(errs, <-closed)
	}
	c.running.Wait()
	return errors.Join(errs...)
}

// drain empties both rings. c.mu is held.
func (c *capture) drain() {
	for _, r := range c.rings() {
		c.empty(r)
	}
}

// empty processes all packets in one ring. c.mu is held.
func (c *capture) empty(r *packet.Ring) {
	r.Read(c.take, func() { c.countLost(r) })
}

// settle counts the segments that both rings lost. c.mu is held.
func (c *capture) settle() error {
	if c.closed {
		return nil
	}
	return errors.Join(c.countLost(c.clients), c.countLost(c.upstream))
}

// countLost counts the segments that the ring had no room for since the last count.
// They are missed if there was a flow to which they may have belonged. (The middlebox
// connects to the upstream after it has claimed the client's flow.) c.mu is held.
func (c *capture) countLost(r *packet.Ring) error {
	arrived, dropped, err := r.Stats()
	if err != nil {
		return err
	}
	c.packets += arrived
	if dropped > 0 {
		c.lostSYNs = true
		if c.claimed > 0 || r == c.clients && c.awaitsAccept() {
			c.missed += dropped
		}
	}
	return nil
}

// awaitsAccept reports whether a client's connection has yet to be accepted. c.mu is
// held.
func (c *capture) awaitsAccept() bool {
	for r := range c.flows {
		if r.to.Port() == c.port {
			return true
		}
	}
	return false
}

// lossError returns an error if segments of the middlebox's flows were missed. c.mu is
// held.
func (c *capture) lossError() error {
	if c.missed == 0 {
		return nil
	}
	return fmt.Errorf("dscptest: %d of %d segments were not captured, and a change may have been missed", c.missed, c.packets)
}

// take processes one packet. c.mu is held.
func (c *capture) take(captured packet.Capture) {
	p, ok := packet.Parse(captured.Data, captured.Length)
	if !ok || p.Proto != packet.TCP || p.Ownerless() {
		return
	}
	r, mark := route{p.Src, p.Dst}, dscp.FromTOS(p.TOS)
	f := c.flows[r]
	if p.Has(packet.SYN) {
		if f == nil || f.isn != p.Seq && !f.noSegment {
			c.add(r, p.Seq, mark)
		}
		return
	}
	if f == nil {
		return // from before the middlebox
	}
	if f.noSegment {
		f.noSegment = false
		f.isn = p.Seq - 1 - uint32(f.end)
		f.first, f.mark = mark, mark
		f.pending = append(f.pending, f.observation(mark, f.end))
	}
	offset := max(0, f.end+int64(int32(p.Seq-(f.isn+1+uint32(f.end)))))
	if mark != f.mark {
		if len(f.pending) < maxPending {
			f.pending = append(f.pending, f.observation(mark, offset))
		}
		f.mark = mark
	}
	f.end = max(f.end, offset+int64(p.Len))
}

// observation returns the Observation of a change at offset.
func (f *capturedFlow) observation(cp dscp.CodePoint, offset int64) Observation {
	if f.inexact {
		return Observation{Mark: cp, To: offset}
	}
	return Observation{Mark: cp, From: offset, To: offset}
}

// add adds a flow, and removes the oldest if there are maxSYNs and no probe has
// claimed it. c.mu is held.
func (c *capture) add(r route, isn uint32, mark dscp.CodePoint) {
	if len(c.syns) >= maxSYNs {
		old := c.syns[0]
		// A later connection may have the same route.
		if f := c.flows[old.route]; f != nil && f.isn == old.isn && !f.claimed {
			delete(c.flows, old.route)
			c.lostSYNs = true
		}
		c.syns = c.syns[1:]
	}
	c.syns = append(c.syns, synRecord{r, isn})
	c.flows[r] = &capturedFlow{isn: isn, first: mark, mark: mark}
}

// probe claims the flow of what arrives on a connection and returns its probe.
func (c *capture) probe(conn *net.TCPConn) (Probe, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, false
	}
	r := route{withoutZone(conn.RemoteAddr()), withoutZone(conn.LocalAddr())}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
	infos := newInfoReader(raw)
	f := c.flows[r]
	if c.claimed == 0 || f == nil {
		c.settle()
	}
	if f == nil {
		if f = c.addWithoutSYN(r, infos); f == nil {
			return nil, false
		}
	}
	f.claimed = true
	c.claimed++
	return &captureProbe{capture: c, route: r, flow: f, told: f.first, nothingTold: f.noSegment, infos: infos}, true
}

// addWithoutSYN adds the flow of a connection whose SYN was lost. It begins with what
// arrives next. addWithoutSYN returns nil if no SYN was lost: then the capture does not
// see this connection, perhaps because a firewall rule rewrites it. c.mu is held.
func (c *capture) addWithoutSYN(r route, infos infoReader) *capturedFlow {
	if !c.lostSYNs {
		return nil
	}
	at, ok := infos.position()
	if !ok {
		return nil
	}
	// The kernel has saved a client's SYN, and the acknowledgement after it has
	// the same mark. The mark of a SYN-ACK may have been predicted. All other
	// segments that have arrived were missed.
	handshake := uint32(1)
	if r.to.Port() == c.port {
		handshake = 2
	}
	if at.Segments > handshake {
		c.missed += int(at.Segments - handshake)
	}
	f := &capturedFlow{noSegment: true, inexact: at.Bytes > 0, end: at.Bytes}
	c.flows[r] = f
	return f
}

// A captureProbe returns one change after the other.
type captureProbe struct {
	capture     *capture
	route       route
	flow        *capturedFlow
	told        dscp.CodePoint // the mark that was returned last
	nothingTold bool           // the SYN was lost, and no change has been returned
	infos       infoReader
}

func (p *captureProbe) Mark() (dscp.CodePoint, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.nothingTold {
		p.capture.drain()
		if len(p.flow.pending) == 0 {
			return 0, false
		}
		return p.flow.pending[0].Mark, true
	}
	return p.told, true
}

func (p *captureProbe) Position() (Position, bool) { return p.infos.position() }

func (p *captureProbe) Next() (Observation, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	p.capture.drain()
	if len(p.flow.pending) == 0 {
		return Observation{}, false
	}
	o := p.flow.pending[0]
	p.flow.pending = p.flow.pending[1:]
	p.told, p.nothingTold = o.Mark, false
	return o, true
}

// Release removes the flow of a connection that is over.
func (p *captureProbe) Release() {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.capture.claimed == 1 { // later losses concern no flow
		p.capture.drain()
		p.capture.settle()
	}
	p.capture.claimed--
	if p.capture.flows[p.route] == p.flow {
		delete(p.capture.flows, p.route)
	}
}

// withoutZone returns an address as it is in packets.
func withoutZone(a net.Addr) netip.AddrPort {
	ap := AddrPort(a)
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
}
