package dscptest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
	"github.com/godscp/godscp/internal/tos"
)

const (
	// udpIdle is how long a box remembers a UDP flow in which nothing moves:
	// RFC 4787, section 4.3, asks for no less than two minutes.
	udpIdle = 2 * time.Minute

	datagramSize = 64 << 10
	oobSize      = 128
)

// A datagram is one on its way through the box.
type datagram struct {
	payload []byte
	octet   uint8 // to send it with
}

// A udpFlow relays what one client sends and is sent. The box's reader carries
// the client's datagrams, the flow's own goroutine those of the server.
type udpFlow struct {
	box    *Middlebox
	client netip.AddrPort
	server *net.UDPConn // connected to the upstream

	done chan struct{} // closed when the flow is over

	toServer, toClient func(datagram)

	mu     sync.Mutex
	rec    Flow
	log    eventLog
	active time.Time  // when something moved last
	sides  [2]udpSide // by direction
}

// A udpSide is what one side of a flow has shown.
type udpSide struct {
	history history
	mark    dscp.CodePoint
	known   bool
	taken   int64
	silent  bool // by a verdict
}

// openUDP makes the box's socket for datagrams.
func (b *Middlebox) openUDP() error {
	lc := net.ListenConfig{Control: b.kernel.PrepareUDP()}
	network := udpNetwork(b.network)
	c, err := lc.ListenPacket(b.stopping, network, loopback(network))
	if err != nil {
		return err
	}
	b.udp = c.(*net.UDPConn)
	b.closers = append(b.closers, b.udp)
	b.udpFlows = make(map[netip.AddrPort]*udpFlow)
	return nil
}

// udpNetwork returns the network for datagrams of a box's family.
func udpNetwork(network string) string {
	if network == "tcp6" {
		return "udp6"
	}
	return "udp4"
}

// serveUDP carries the datagrams of all clients until the socket is closed.
func (b *Middlebox) serveUDP() {
	buf, oob := make([]byte, datagramSize), make([]byte, oobSize)
	for {
		n, oobn, _, from, err := b.udp.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of a datagram that was sent, told by ICMP
		}
		f, err := b.udpFlow(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		if err != nil {
			continue // lost, like everything for which a NAT has no room
		}
		f.carry(ClientToServer, buf[:n], oob[:oobn])
	}
}

// udpFlow returns the flow of a client, a new one if there is none.
func (b *Middlebox) udpFlow(client netip.AddrPort) (*udpFlow, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.udpFlows[client]; f != nil {
		return f, nil
	}
	if b.stopping.Err() != nil {
		return nil, net.ErrClosed
	}
	f := &udpFlow{box: b, client: client, done: make(chan struct{})}
	f.rec = Flow{
		ID:       len(b.records) + 1,
		Network:  udpNetwork(b.network),
		Client:   client,
		Box:      kernel.AddrPort(b.udp.LocalAddr()),
		Upstream: b.upstream,
		Start:    time.Now(),
	}
	for d := range f.sides {
		f.sides[d].history = b.chain.history()
	}
	d := net.Dialer{Control: b.kernel.PrepareUDP()}
	c, err := d.DialUDP(b.stopping, f.rec.Network, netip.AddrPort{}, b.upstream)
	if err != nil {
		return nil, err // every further datagram would leave one more record
	}
	b.records = append(b.records, f)
	f.server = c
	f.toServer, f.toClient = f.delayed(f.sendToServer), f.delayed(f.sendToClient)
	b.udpFlows[client] = f
	b.running.Go(f.run)
	return f, nil
}

// delayed returns send, or what does it later if the box has a delay.
func (f *udpFlow) delayed(send func(datagram)) func(datagram) {
	if f.box.config.Delay == 0 {
		return send
	}
	line := newDelayLine[datagram](f.box.config.Delay, f.done)
	f.box.running.Go(func() { line.run(send) })
	return func(g datagram) {
		g.payload = append([]byte(nil), g.payload...)
		line.offer(g)
	}
}

// run carries the server's datagrams until the flow has been idle.
func (f *udpFlow) run() {
	defer f.finish()
	buf, oob := make([]byte, datagramSize), make([]byte, oobSize)
	for {
		f.server.SetReadDeadline(time.Now().Add(udpIdle))
		n, oobn, _, _, err := f.server.ReadMsgUDPAddrPort(buf, oob)
		if err == nil {
			f.carry(ServerToClient, buf[:n], oob[:oobn])
			continue
		}
		if e, ok := errors.AsType[net.Error](err); errors.Is(err, net.ErrClosed) || ok && e.Timeout() && f.idle() {
			return
		} // anything else is ICMP's word on a datagram that was sent
	}
}

// idle reports whether the client has been as quiet as the server.
func (f *udpFlow) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.active) >= udpIdle
}

// finish closes the flow and lets the box forget the client.
func (f *udpFlow) finish() {
	close(f.done)
	f.server.Close()
	f.box.mu.Lock()
	delete(f.box.udpFlows, f.client)
	f.box.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rec.Over, f.rec.End = true, time.Now()
}

// record returns a copy of what the flow has shown so far.
func (f *udpFlow) record() Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rec
	r.Changes, r.Events = slices.Clone(r.Changes), f.log.list()
	r.ClientBytes, r.ServerBytes = f.sides[ClientToServer].taken, f.sides[ServerToClient].taken
	return r
}

// carry judges one datagram and sends it on.
func (f *udpFlow) carry(d Direction, payload, oob []byte) {
	octet, ok := tos.ReceivedOctet(oob)
	if !ok {
		return // the kernel was asked to tell: it always does
	}
	out, ok := f.take(d, len(payload), dscp.FromTOS(octet))
	if !ok {
		return
	}
	g := datagram{payload, out.TOS() | octet&3} // ECN is the endpoints'
	if d == ClientToServer {
		f.toServer(g)
	} else {
		f.toClient(g)
	}
}

// take records a datagram and judges it; false if it is lost.
func (f *udpFlow) take(d Direction, size int, cp dscp.CodePoint) (dscp.CodePoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = time.Now()
	s := &f.sides[d]
	if s.silent {
		return 0, false
	}
	offset := s.taken
	s.taken += int64(size)
	out, ok := f.judge(d, cp, offset)
	f.log.add(Event{At: f.active, Direction: d, DSCP: cp, Offset: offset, Bytes: size, Lost: !ok})
	s.mark, s.known = cp, true
	return out, ok
}

// judge asks the models about a datagram; false if it is lost. f.mu is held.
func (f *udpFlow) judge(dir Direction, cp dscp.CodePoint, offset int64) (dscp.CodePoint, bool) {
	s := &f.sides[dir]
	d, err := f.box.chain.judge(Segment{Network: f.rec.Network, Direction: dir, DSCP: cp, Offset: offset}, s.history)
	if err != nil {
		f.rec.Err, s.silent = err, true
		return 0, false
	}
	var reason string
	switch {
	case !s.known && dir == ClientToServer:
		f.rec.SYN = cp
		reason = d.firstReason(dir, cp)
	case !s.known:
		f.rec.SYNACK, f.rec.Answered = cp, true
		reason = d.firstReason(dir, cp)
	case cp != s.mark:
		reason = d.changeReason(dir, s.mark, cp)
		f.rec.add(Change{
			Direction: dir, From: s.mark, To: cp, Offset: offset, OffsetMax: offset,
			At: f.active, Verdict: d.verdict, Reason: reason,
		})
	default:
		reason = d.payloadReason(dir, cp)
	}
	f.rec.note(d, reason)
	s.silent = d.verdict == Blackhole || d.verdict == Reset
	return d.out, !d.verdict.ends()
}

func (f *udpFlow) sendToServer(g datagram) {
	octet := f.box.kernel.AppendOctet(nil, g.octet)
	if _, _, err := f.server.WriteMsgUDP(g.payload, octet, nil); err != nil {
		// It may be ICMP's word on a datagram before, which run has not come to
		// read: then this one has not been sent.
		f.server.WriteMsgUDP(g.payload, octet, nil)
	}
}

func (f *udpFlow) sendToClient(g datagram) {
	f.box.udp.WriteMsgUDPAddrPort(g.payload, f.box.kernel.AppendOctet(nil, g.octet), f.client)
}
