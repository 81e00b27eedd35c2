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
	// udpIdle is how long a box keeps an idle UDP flow. RFC 4787, section 4.3,
	// requires two minutes at least.
	udpIdle = 2 * time.Minute

	datagramSize = 64 << 10
	oobSize      = 128
)

// A datagram is what the box sends on.
type datagram struct {
	payload []byte
	octet   uint8 // TOS or Traffic Class
}

// A udpFlow relays the datagrams of one client. The goroutine of the box forwards the
// client's, the goroutine of the flow those of the server.
type udpFlow struct {
	box    *Middlebox
	client netip.AddrPort
	server *net.UDPConn // connected to the upstream

	done chan struct{} // closed when the flow is over

	lines [2]*delayLine[datagram] // by direction; nil while nothing is delayed

	mu     sync.Mutex
	rec    Flow
	log    eventLog
	active time.Time  // when the latest datagram came
	sides  [2]udpSide // by direction
}

// A udpSide is what one side of a flow has shown.
type udpSide struct {
	history history
	mark    dscp.CodePoint
	known   bool
	taken   int64
	silent  bool // by a verdict

	owner  owner
	unsure bool // another socket than before may have sent the latest mark
}

// An owner is the socket that had the port of a side when the box asked the kernel,
// which it does when a datagram with another mark has come. The socket that sent the
// datagram may have closed before, and the owner may be another one.
type owner struct {
	id       uint64    // 0 if no socket had the port
	since    time.Time // when the kernel had answered
	prompt   bool      // since is right after the datagram had come
	sent     bool      // a datagram with the same mark came later
	answered bool      // the box sent it a datagram later, which it had not read then
}

// promptly is how soon after the arrival of a datagram the kernel must have said which
// socket has the port, for owner.prompt to be set. A program most likely needs longer to
// close a socket and open another one.
const promptly = time.Millisecond

// has reports whether the owner, which has the port now, has sent the datagrams with
// the latest mark: one came while it had the port, or the kernel was asked promptly
// after one came and the owner has read an answer.
func (o owner) has(now kernel.UDPSocket) bool {
	return o.id != 0 && o.id == now.ID && (o.sent || o.prompt && o.answered && now.Queued == 0)
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
	return b.kernel.TryUDP(network, trialMark)
}

// udpNetwork returns the network for datagrams of a box's family.
func udpNetwork(network string) string {
	if network == "tcp6" {
		return "udp6"
	}
	return "udp4"
}

// serveUDP forwards the datagrams of all clients until the socket is closed.
func (b *Middlebox) serveUDP() {
	buf, oob := make([]byte, datagramSize), make([]byte, oobSize)
	for {
		n, oobn, _, from, err := b.udp.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about a datagram that was sent
		}
		client := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		f, err := b.udpFlow(client)
		if err != nil {
			continue // dropped, as a NAT does that has no room for a flow
		}
		if f.hasOtherSocket(oob[:oobn]) {
			b.forget(f)
			if f, err = b.udpFlow(client); err != nil {
				continue
			}
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
		return nil, err // with no record, of which every datagram would add one
	}
	b.records = append(b.records, f)
	f.server = c
	if b.config.Delay > 0 {
		for d := range f.lines {
			f.lines[d] = f.newLine(Direction(d))
		}
	}
	b.udpFlows[client] = f
	b.running.Go(f.run)
	return f, nil
}

// forget ends a flow. The next datagram of its client begins another.
func (b *Middlebox) forget(f *udpFlow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.udpFlows[f.client] == f {
		delete(b.udpFlows, f.client)
	}
	f.server.Close()
}

// hasOtherSocket reports whether a datagram with these control messages has another
// mark than the one before and another socket has the client's port now.
func (f *udpFlow) hasOtherSocket(oob []byte) bool {
	octet, ok := tos.ReceivedOctet(oob)
	if !ok {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.sides[ClientToServer]
	if !s.known || s.owner.id == 0 || dscp.FromTOS(octet) == s.mark {
		return false
	}
	now, ok := f.socketOf(ClientToServer)
	return ok && now.ID != 0 && now.ID != s.owner.id
}

// socketOf returns the socket that has the port of one side now; false if the kernel
// does not report it.
func (f *udpFlow) socketOf(d Direction) (kernel.UDPSocket, bool) {
	switch {
	case d == ClientToServer:
		return f.box.kernel.UDPSocket(f.client, f.rec.Box)
	case f.box.local:
		return f.box.kernel.UDPSocket(f.rec.Upstream, kernel.AddrPort(f.server.LocalAddr()))
	}
	return kernel.UDPSocket{}, false
}

// identify finds out, before a datagram is judged, whether another socket than that of
// the datagram before may have sent it. f.mu is held.
func (f *udpFlow) identify(d Direction, cp dscp.CodePoint, oob []byte) {
	s := &f.sides[d]
	at, timed := f.box.kernel.Arrived(oob)
	if s.known && cp == s.mark {
		s.owner.sent = s.owner.sent || timed && at.After(s.owner.since)
	} else {
		now, ok := f.socketOf(d)
		same := ok && s.owner.has(now)
		s.unsure = s.known && ok && !same
		next := owner{id: now.ID, since: time.Now(), sent: same} // the same socket has sent both
		next.prompt = timed && next.since.Sub(at) < promptly
		s.owner = next
	}
}

// noteAnswer records whether the socket of a side, to which the box has just sent a
// datagram, has yet to read it.
func (f *udpFlow) noteAnswer(d Direction) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &f.sides[d].owner
	if o.id == 0 || o.sent || o.answered || !o.prompt {
		return
	}
	now, ok := f.socketOf(d)
	o.answered = ok && now.ID == o.id && now.Queued > 0
}

// run forwards the server's datagrams until the flow is idle for udpIdle, or closed.
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
		} // any other error is an ICMP error about a datagram that was sent
	}
}

// idle reports whether no datagram has come from either side for udpIdle.
func (f *udpFlow) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.active) >= udpIdle
}

// finish ends the flow and its record.
func (f *udpFlow) finish() {
	close(f.done)
	f.box.forget(f)
	f.mu.Lock()
	f.rec.Over, f.rec.End = true, time.Now()
	f.mu.Unlock()
	f.box.notify()
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

// carry judges one datagram and forwards it.
func (f *udpFlow) carry(d Direction, payload, oob []byte) {
	octet, ok := tos.ReceivedOctet(oob)
	if !ok {
		return // does not happen: the socket was set to receive the octet
	}
	out, delay, ok := f.take(d, len(payload), dscp.FromTOS(octet), oob)
	f.box.notify()
	if !ok {
		return
	}
	g := datagram{payload, out.TOS() | octet&3} // the ECN bits are left alone
	if f.lines[d] == nil && delay > 0 {
		f.lines[d] = f.newLine(d)
	}
	if f.lines[d] == nil {
		f.send(d, g)
		return
	}
	g.payload = append([]byte(nil), g.payload...)
	f.lines[d].offer(g, delay)
}

// newLine returns a delay line for one direction.
func (f *udpFlow) newLine(d Direction) *delayLine[datagram] {
	line := newDelayLine[datagram](f.box.config.Delay, f.done)
	f.box.running.Go(func() { line.run(func(g datagram) { f.send(d, g) }) })
	return line
}

func (f *udpFlow) send(d Direction, g datagram) {
	if d == ClientToServer {
		f.sendToServer(g)
	} else {
		f.sendToClient(g)
	}
	f.noteAnswer(1 - d)
}

// take records a datagram and judges it. It returns false if the datagram is dropped.
func (f *udpFlow) take(d Direction, size int, cp dscp.CodePoint, oob []byte) (dscp.CodePoint, time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.identify(d, cp, oob)
	f.active = time.Now()
	s := &f.sides[d]
	if s.silent {
		return 0, 0, false
	}
	offset := s.taken
	s.taken += int64(size)
	out, delay, ok := f.judge(d, cp, offset, size)
	f.log.add(Event{At: f.active, Direction: d, DSCP: cp, Offset: offset, Bytes: size, Lost: !ok})
	s.mark, s.known = cp, true
	return out, delay, ok
}

// judge calls the models with a datagram. It returns false if the datagram is
// dropped. f.mu is held.
func (f *udpFlow) judge(dir Direction, cp dscp.CodePoint, offset int64, size int) (dscp.CodePoint, time.Duration, bool) {
	s := &f.sides[dir]
	d, err := f.box.chain.judge(Segment{Network: f.rec.Network, Direction: dir, DSCP: cp, Offset: offset, Length: int64(size)}, s.history)
	if err != nil {
		f.rec.Err, s.silent = err, true
		return 0, 0, false
	}
	if s.unsure {
		d = d.withoutReport()
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
	v := d.verdict.withoutDelay()
	s.silent = v == Blackhole || v == Reset
	return d.out, d.delay, !v.ends()
}

// withOctet returns the control message to send a datagram with.
func (b *Middlebox) withOctet(g datagram) []byte {
	option := tos.IPv4TOS
	if b.network == "tcp6" {
		option = tos.IPv6TClass
	}
	return tos.AppendControl(nil, option, g.octet)
}

func (f *udpFlow) sendToServer(g datagram) {
	octet := f.box.withOctet(g)
	if _, _, err := f.server.WriteMsgUDP(g.payload, octet, nil); err != nil {
		// The error may be an ICMP error about a datagram before, which run has
		// not read yet. Then this one has not been sent.
		f.server.WriteMsgUDP(g.payload, octet, nil)
	}
}

func (f *udpFlow) sendToClient(g datagram) {
	f.box.udp.WriteMsgUDPAddrPort(g.payload, f.box.withOctet(g), f.client)
}
