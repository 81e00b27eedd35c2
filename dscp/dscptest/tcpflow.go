package dscptest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// drainTime is how long a server may go on sending after its flow was reset.
const drainTime = 2 * time.Second

// A tcpFlow relays one connection. Two goroutines pump, one for each
// direction; either may look at both legs and pronounce a verdict.
type tcpFlow struct {
	box    *Middlebox
	client *leg
	server *leg // its conn is nil until the upstream has been reached

	mu    sync.Mutex
	rec   Flow // without what is kept elsewhere
	seen  events
	reset bool          // by a verdict: the client is gone, the server is drained
	dark  [2]bool       // by a verdict: the direction is silent
	gone  chan struct{} // closed with both connections
	fault bool          // over at once, for a reset by one of the sides or a fault of the box
	torn  bool          // one side is gone: the other shall know when it has had its last bytes
}

func newTCPFlow(b *Middlebox, c *net.TCPConn) *tcpFlow {
	return &tcpFlow{
		box:    b,
		gone:   make(chan struct{}),
		client: &leg{conn: c, dir: ClientToServer, history: b.chain.history()},
		server: &leg{dir: ServerToClient, history: b.chain.history()},
		rec: Flow{
			Network:  b.network,
			Client:   addrPort(c.RemoteAddr()),
			Box:      addrPort(c.LocalAddr()),
			Upstream: b.upstream,
			Start:    time.Now(),
		},
	}
}

// record returns a copy of what the flow has shown so far.
func (f *tcpFlow) record() Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rec
	r.Changes, r.Events = slices.Clone(r.Changes), f.seen.list()
	r.ClientBytes, r.ServerBytes = f.client.taken, f.server.taken
	return r
}

// run carries the flow from its SYN to its end.
func (f *tcpFlow) run() {
	defer f.finish()
	out, ok := f.meetClient()
	if !ok || !f.meetServer(out) {
		f.holdIfDark()
		return
	}
	done := make(chan struct{})
	f.box.running.Go(func() {
		defer close(done)
		f.pump(f.client, f.server)
	})
	f.pump(f.server, f.client)
	<-done
}

// holdIfDark keeps a silenced client waiting until the box closes.
func (f *tcpFlow) holdIfDark() {
	f.mu.Lock()
	dark := f.dark[ClientToServer]
	f.mu.Unlock()
	if dark {
		<-f.gone
	}
}

// meetClient learns the mark of the SYN and returns the one with which it
// travels on; false if that was the end of the flow.
func (f *tcpFlow) meetClient() (dscp.CodePoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.client
	var err error
	if l.probe, err = f.box.senses.probe(l.conn); err != nil {
		return f.fail(err)
	}
	syn, ok := f.box.senses.savedSYN(l.conn)
	if !ok { // a SYN cookie: the next best is what the client sends now
		if syn, ok = l.probe.look(); !ok {
			return f.fail(errNoSYN)
		}
	}
	f.rec.SYN = syn
	l.old.segments = 2 // the SYN, and under its mark the acknowledgement that ended the handshake
	return f.first(l, syn)
}

// meetServer connects to the upstream with a SYN marked syn and learns the
// mark of the answer; false if that was the end of the flow.
func (f *tcpFlow) meetServer(syn dscp.CodePoint) bool {
	b := f.box
	foretold, known := b.foretell(syn)
	conn, err := dialUpstream(b, syn)

	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.fail(err)
		return false
	}
	l := f.server
	l.conn = conn
	if b.stopping.Err() != nil { // Close has been here and saw no server
		f.fail(net.ErrClosed)
		return false
	}
	if l.probe, err = b.senses.probe(conn); err != nil {
		f.fail(err)
		return false
	}
	// The mark of the SYN-ACK: read, where nothing but the SYN-ACK has come
	// yet; else what the listener was set to; else what comes first.
	cp, ok := l.probe.look()
	at, counted := l.probe.position()
	fresh := counted && at.segments == 1
	if fresh {
		l.old = at
	}
	switch {
	case !known || ok && fresh && b.Sensor() != SocketOption:
	case !ok || b.Sensor() != WireEvery: // which has it, if it has lost nothing
		cp, ok = foretold, true
	}
	if !ok {
		return true
	}
	f.rec.SYNACK, f.rec.Answered = cp, true
	out, ok := f.first(l, cp)
	if !ok {
		return false
	}
	if err := b.remark(out); err != nil { // for the next client
		f.fail(err)
		return false
	}
	return true
}

// first shows the models the first mark of a leg. f.mu is held.
func (f *tcpFlow) first(l *leg, cp dscp.CodePoint) (dscp.CodePoint, bool) {
	l.mark, l.known = cp, true
	r, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: l.dir, Handshake: true, DSCP: cp,
	}, l.history)
	if err != nil {
		return f.fail(err)
	}
	f.rec.note(r, reasonFirst(r, l.dir, cp))
	f.act(l, r.verdict)
	if l.dir == ClientToServer {
		l.out, l.outKnown = r.out, true // the box's own SYN will have it
	} else {
		f.forwardMark(l, r.out)
	}
	return r.out, !f.reset && (l.dir == ServerToClient || !f.dark[l.dir])
}

// restPeriod is how seldom a bulk transfer in one direction has the box look at
// the other, which only acknowledges: a look costs as much as some kilobytes.
const restPeriod = 200 * time.Microsecond

// watch looks at both legs and acts on what they show. Something has just
// arrived on one, a bulk transfer perhaps. f.mu is held.
func (f *tcpFlow) watch(arrived *leg, now time.Time, bulk bool) {
	for _, l := range [...]*leg{f.client, f.server} {
		if f.reset || f.dark[l.dir] || bulk && l != arrived && now.Sub(l.looked) < restPeriod {
			continue
		}
		l.looked = now
		for !f.reset && !f.fault && !f.dark[l.dir] {
			s, ok := l.look(f.box.Sensor(), !bulk)
			if !ok {
				break
			}
			if !l.known {
				f.rec.SYNACK, f.rec.Answered = s.mark, true
				f.first(l, s.mark)
			} else {
				f.change(l, s, now)
			}
		}
	}
}

// change records that a leg shows another mark, asks the models and acts. f.mu
// is held.
func (f *tcpFlow) change(l *leg, s sight, now time.Time) {
	r, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: l.dir, DSCP: s.mark, Offset: s.from,
	}, l.history)
	if err != nil {
		f.fail(err)
		return
	}
	reason := reasonChange(r, l.dir, l.mark, s.mark)
	f.rec.add(Change{
		Direction: l.dir, From: l.mark, To: s.mark,
		Offset: s.from, OffsetMax: s.to, At: now,
		Verdict: r.verdict, Reason: reason,
	})
	l.mark = s.mark
	l.old = position{bytes: s.to}
	f.rec.note(r, reason)
	f.act(l, r.verdict)
	f.forwardMark(l, r.out)
}

// payload asks the models about what was read off a leg, from offset on, under
// its latest mark, and acts. f.mu is held.
func (f *tcpFlow) payload(l *leg, offset int64) {
	if !l.known {
		return // its sender cannot be looked at
	}
	r, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: l.dir, DSCP: l.mark, Offset: offset,
	}, l.history)
	if err != nil {
		f.fail(err)
		return
	}
	if r.verdict.harder(f.rec.Verdict) || r.reporter != "" && f.rec.Reported == "" { // the reason is made for the first time only
		f.rec.note(r, reasonPayload(r, l.dir, l.mark))
	}
	f.act(l, r.verdict)
	f.forwardMark(l, r.out)
}

// act carries out a verdict on what arrived on l. f.mu is held; the record has
// the verdict already, so that whoever feels it finds it there.
func (f *tcpFlow) act(l *leg, v Verdict) {
	switch v {
	case Reset:
		// The client first, and the server with a FIN once it has said its
		// last: with the server first, most clients read a clean EOF.
		f.reset = true
		f.client.conn.SetLinger(0)
		f.client.conn.Close()
		if s := f.server.conn; s != nil {
			s.CloseWrite()
			s.SetReadDeadline(time.Now().Add(drainTime))
		}
	case Drop, Blackhole:
		f.dark[l.dir] = true
		if err := f.box.senses.darken(l.conn); err != nil {
			f.fail(err)
		}
	}
}

// forwardMark marks what the box sends on in the direction of l. f.mu is held.
func (f *tcpFlow) forwardMark(l *leg, cp dscp.CodePoint) {
	to := f.server.conn
	if l.dir == ServerToClient {
		to = f.client.conn
	}
	if to == nil || f.reset || l.out == cp && l.outKnown {
		return
	}
	l.out, l.outKnown = cp, true
	raw, err := to.SyscallConn()
	if err == nil {
		err = f.box.senses.mark(raw, cp)
	}
	if err != nil && !isGone(err) {
		f.fail(err)
	}
}

// fail ends the flow for a fault of the box. f.mu is held.
func (f *tcpFlow) fail(err error) (dscp.CodePoint, bool) {
	if f.rec.Err == nil && f.box.stopping.Err() == nil {
		f.rec.Err = err
	}
	f.hangUp()
	return 0, false
}

// hangUp resets both ends. f.mu is held.
func (f *tcpFlow) hangUp() {
	if !f.fault {
		f.fault = true
		close(f.gone)
	}
	for _, c := range [...]*net.TCPConn{f.client.conn, f.server.conn} {
		if c != nil {
			c.SetLinger(0)
			c.Close()
		}
	}
}

// abort ends the flow because the box is closing.
func (f *tcpFlow) abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	// One last look: a change that came last may not have woken a pump yet.
	if !f.reset && !f.fault && f.client.probe != nil && f.server.probe != nil {
		f.watch(f.client, time.Now(), false)
	}
	f.hangUp()
}

// finish closes what is left of the flow.
func (f *tcpFlow) finish() {
	f.mu.Lock()
	if f.fault || f.torn || f.dark != [2]bool{} {
		f.hangUp()
	} else {
		f.client.conn.Close()
		if f.server.conn != nil {
			f.server.conn.Close()
		}
	}
	for _, l := range [...]*leg{f.client, f.server} {
		if h, ok := l.probe.(historian); ok {
			h.release()
		}
	}
	f.rec.Over, f.rec.End = true, time.Now()
	f.mu.Unlock()
	f.box.remove(f)
}

// dialUpstream connects to the upstream with a marked SYN.
func dialUpstream(b *Middlebox, syn dscp.CodePoint) (*net.TCPConn, error) {
	d := net.Dialer{Control: b.senses.prepareDial(syn), KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d.DialTCP(b.stopping, b.network, netip.AddrPort{}, b.upstream)
}
