package dscptest

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// drainTime is how long a server may go on sending after its flow was reset.
const drainTime = 2 * time.Second

// Buffers of the pumps. A flow that never fills a small one, like most of many
// thousand, does not need a large one; in a bulk flow every read costs a sample of
// the marks, and large reads make them cheap.
const (
	smallBuffer = 16 << 10
	largeBuffer = 512 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// bulkFrom is the size of a read from which on samples are spared where they can
// be: interactive flows get exact offsets, bulk flows keep their speed.
const bulkFrom = 4 << 10

// An action is what a pump does with what it has read.
type action uint8

const (
	forward action = iota
	discard        // read on, send nothing
	hold           // read no more, hold the connection while the other side does
	quit
)

// A tcpFlow relays one connection. Two goroutines pump, one for each direction;
// either may observe both endpoints and act on what the models say.
type tcpFlow struct {
	box    *Middlebox
	client *endpoint
	server *endpoint // its conn is nil until the upstream has been reached

	mu         sync.Mutex
	rec        Flow // without what is kept elsewhere
	log        eventLog
	reset      bool             // by a verdict: the client is gone, the server is drained
	discarding [2]bool          // by a verdict: what the direction carries is discarded
	delay      [2]time.Duration // by the models, of what the direction carries next
	resumed    chan struct{}    // closed by a reset and with both connections
	stopPauses func()           // closes it
	done       chan struct{}    // closed with both connections
	aborted    bool             // over at once, for a reset by one of the sides or a fault of the box
	peerClosed bool             // one side is gone: the other shall know when it has had its last bytes
}

// errNoSYN says that nothing tells the mark of a flow's SYN.
var errNoSYN = errors.New("dscptest: the mark of the SYN is not known: it came with a cookie and its sender is gone")

func newTCPFlow(b *Middlebox, c *net.TCPConn) *tcpFlow {
	f := &tcpFlow{
		box:     b,
		resumed: make(chan struct{}),
		done:    make(chan struct{}),
		client:  &endpoint{conn: c, dir: ClientToServer, history: b.chain.history()},
		server:  &endpoint{dir: ServerToClient, history: b.chain.history()},
		rec: Flow{
			Network:  b.network,
			Client:   kernel.AddrPort(c.RemoteAddr()),
			Box:      kernel.AddrPort(c.LocalAddr()),
			Upstream: b.upstream,
			Start:    time.Now(),
		},
	}
	f.stopPauses = sync.OnceFunc(func() { close(f.resumed) })
	return f
}

// record returns a copy of what the flow has shown so far.
func (f *tcpFlow) record() Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rec
	r.Changes, r.Events = slices.Clone(r.Changes), f.log.list()
	r.ClientBytes, r.ServerBytes = f.client.taken, f.server.taken
	return r
}

// run carries the flow from its SYN to its end.
func (f *tcpFlow) run() {
	defer f.finish()
	out, ok := f.readSYN()
	if !ok || !f.dialUpstream(out) {
		f.holdIfDiscarding()
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

// holdIfDiscarding keeps a silenced client waiting until the box closes.
func (f *tcpFlow) holdIfDiscarding() {
	f.mu.Lock()
	discarding := f.discarding[ClientToServer]
	f.mu.Unlock()
	if discarding {
		<-f.done
	}
}

// readSYN learns the mark of the SYN and returns the one with which it
// travels on; false if that was the end of the flow.
func (f *tcpFlow) readSYN() (dscp.CodePoint, bool) {
	defer f.box.notify()
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.client
	var err error
	if e.probe, err = f.box.kernel.Probe(e.conn, true); err != nil {
		return f.fail(err)
	}
	if e.stream, err = f.box.kernel.OpenStream(e.conn); err != nil {
		return f.fail(err)
	}
	syn, err := kernel.SavedSYN(e.conn)
	if err != nil { // a SYN cookie: the next best is what the client sends now
		var ok bool
		if syn, ok = e.probe.Mark(); !ok {
			return f.fail(errNoSYN)
		}
	}
	f.rec.SYN = syn
	e.unchanged.Segments = 2 // the SYN, and under its mark the acknowledgement that ended the handshake
	return f.judgeFirst(e, syn)
}

// dialUpstream connects to the upstream with a SYN marked syn and learns the
// mark of the answer; false if that was the end of the flow.
func (f *tcpFlow) dialUpstream(syn dscp.CodePoint) bool {
	b := f.box
	predicted, known := b.predictSYNACK(syn)
	conn, err := b.dial(syn)

	defer b.notify()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.fail(err)
		return false
	}
	e := f.server
	e.conn = conn
	if b.stopping.Err() != nil { // Close has been here and saw no server
		f.fail(net.ErrClosed)
		return false
	}
	if e.probe, err = b.kernel.Probe(conn, false); err != nil {
		f.fail(err)
		return false
	}
	if e.stream, err = b.kernel.OpenStream(conn); err != nil {
		f.fail(err)
		return false
	}
	// The mark of the SYN-ACK is read where nothing else has come yet. Otherwise
	// it is the predicted one, or if that is not known, the first that shows.
	cp, ok := e.probe.Mark()
	at, counted := e.probe.Position()
	fresh := counted && at.Segments == 1
	if fresh {
		e.unchanged = at
	}
	switch {
	case !known || ok && fresh && b.Sensor() != SocketOption:
	case !ok || b.Sensor() != WireEvery: // which has it, if it has lost nothing
		cp, ok = predicted, true
	}
	if !ok {
		return true
	}
	f.rec.SYNACK, f.rec.Answered = cp, true
	out, ok := f.judgeFirst(e, cp)
	if !ok {
		return false
	}
	if err := b.setSYNACKMark(out); err != nil { // for the next client
		f.fail(err)
		return false
	}
	return true
}

// judgeFirst shows the models the first mark of an endpoint. f.mu is held.
func (f *tcpFlow) judgeFirst(e *endpoint, cp dscp.CodePoint) (dscp.CodePoint, bool) {
	e.mark, e.known = cp, true
	d, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: e.dir, Handshake: true, DSCP: cp,
	}, e.history)
	if err != nil {
		return f.fail(err)
	}
	f.rec.note(d, d.firstReason(e.dir, cp))
	f.apply(e, d.verdict)
	if e.dir == ClientToServer {
		e.out, e.outKnown = d.out, true // the box's own SYN will have it
	} else {
		f.forwardMark(e, d.out)
	}
	return d.out, !f.reset && (e.dir == ServerToClient || !f.discarding[e.dir])
}

// idleSample is how seldom a bulk transfer in one direction has the box observe
// the other, which only acknowledges: a sample costs as much as some kilobytes.
const idleSample = 200 * time.Microsecond

// observe samples both endpoints and acts on what they show. Something has just
// arrived on one, a bulk transfer perhaps. f.mu is held.
func (f *tcpFlow) observe(arrived *endpoint, now time.Time, bulk bool) {
	for _, e := range [...]*endpoint{f.client, f.server} {
		if f.reset || f.discarding[e.dir] || bulk && e != arrived && now.Sub(e.sampled) < idleSample {
			continue
		}
		e.sampled = now
		for !f.reset && !f.aborted && !f.discarding[e.dir] {
			o, ok := e.observe(f.box.Sensor(), !bulk)
			if !ok {
				break
			}
			if !e.known {
				f.rec.SYNACK, f.rec.Answered = o.Mark, true
				f.judgeFirst(e, o.Mark)
			} else {
				f.judgeChange(e, o, now)
			}
		}
	}
}

// judgeChange records that an endpoint shows another mark, asks the models and
// acts. f.mu is held.
func (f *tcpFlow) judgeChange(e *endpoint, o kernel.Observation, now time.Time) {
	d, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: e.dir, DSCP: o.Mark, Offset: o.From,
	}, e.history)
	if err != nil {
		f.fail(err)
		return
	}
	reason := d.changeReason(e.dir, e.mark, o.Mark)
	f.rec.add(Change{
		Direction: e.dir, From: e.mark, To: o.Mark,
		Offset: o.From, OffsetMax: o.To, At: now,
		Verdict: d.verdict, Reason: reason,
	})
	e.mark = o.Mark
	e.unchanged = kernel.Position{Bytes: o.To}
	f.rec.note(d, reason)
	f.delay[e.dir] = min(f.delay[e.dir]+d.delay, maxDelay)
	f.apply(e, d.verdict)
	f.forwardMark(e, d.out)
}

// judgePayload asks the models about what was read off an endpoint, from offset
// on, under its latest mark, and acts. f.mu is held.
func (f *tcpFlow) judgePayload(e *endpoint, offset int64) {
	if !e.known {
		return // the mark of its sender is not to be had
	}
	d, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: e.dir, DSCP: e.mark, Offset: offset, Length: e.taken - offset,
	}, e.history)
	if err != nil {
		f.fail(err)
		return
	}
	if d.verdict.harder(f.rec.Verdict) || d.reporter != "" && f.rec.Reported == "" { // the reason is made for the first time only
		f.rec.note(d, d.payloadReason(e.dir, e.mark))
	}
	f.delay[e.dir] = min(f.delay[e.dir]+d.delay, maxDelay)
	f.apply(e, d.verdict)
	f.forwardMark(e, d.out)
}

// apply carries out a verdict on what arrived on e. f.mu is held; the record has
// the verdict already, so that a program that notices it finds it there.
func (f *tcpFlow) apply(e *endpoint, v Verdict) {
	switch v.withoutDelay() {
	case Reset:
		// The client first, and the server with a FIN once it has sent all
		// it has: with the server first, most clients read a clean EOF.
		f.reset = true
		f.stopPauses()
		f.client.conn.SetLinger(0)
		f.client.conn.Close()
		if s := f.server.conn; s != nil {
			s.CloseWrite()
			s.SetReadDeadline(time.Now().Add(drainTime))
		}
	case Drop, Blackhole:
		f.discarding[e.dir] = true
		if err := f.box.kernel.DiscardInput(e.conn); err != nil {
			f.fail(err)
		}
	}
}

// forwardMark marks what the box sends on in the direction of e. f.mu is held.
func (f *tcpFlow) forwardMark(e *endpoint, cp dscp.CodePoint) {
	to := f.server.conn
	if e.dir == ServerToClient {
		to = f.client.conn
	}
	if to == nil || f.reset || e.out == cp && e.outKnown {
		return
	}
	e.out, e.outKnown = cp, true
	raw, err := to.SyscallConn()
	if err == nil {
		err = f.box.kernel.SetMark(raw, cp)
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
	f.resetBoth()
	return 0, false
}

// resetBoth resets both ends. f.mu is held.
func (f *tcpFlow) resetBoth() {
	if !f.aborted {
		f.aborted = true
		close(f.done)
		f.stopPauses()
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
	// A change that came last may not have woken a pump yet.
	if !f.reset && !f.aborted && f.client.probe != nil && f.server.probe != nil {
		f.observe(f.client, time.Now(), false)
	}
	f.resetBoth()
}

// finish closes what is left of the flow.
func (f *tcpFlow) finish() {
	f.mu.Lock()
	if f.aborted || f.peerClosed || f.discarding != [2]bool{} {
		f.resetBoth()
	} else {
		f.client.conn.Close()
		if f.server.conn != nil {
			f.server.conn.Close()
		}
	}
	for _, e := range [...]*endpoint{f.client, f.server} {
		if q, ok := e.probe.(kernel.QueueingProbe); ok {
			q.Release()
		}
	}
	f.rec.Over, f.rec.End = true, time.Now()
	f.mu.Unlock()
	f.box.remove(f)
	f.box.notify()
}

// pump carries from's payload to to until one of them is done.
func (f *tcpFlow) pump(from, to *endpoint) {
	pool, buf := &smallBuffers, smallBuffers.Get().(*[]byte)
	defer func() { pool.Put(buf) }()
	out := f.newSender(from, to)
	defer out.finish()
	size := f.box.config.SegmentSize
	for {
		b := *buf
		if size > 0 && size < len(b) {
			b = b[:size]
		}
		n, urgent, err := from.stream.Read(b)
		act, delay := f.handleRead(from, n, err)
		switch act {
		case discard:
			continue
		case hold:
			<-f.done
			return
		case quit:
			return
		}
		f.pause(delay)
		if n > 0 && !out.send(b[:n], urgent) {
			return
		}
		if err != nil {
			out.sendEOF()
			return
		}
		if n == smallBuffer && f.box.config.Delay == 0 {
			pool.Put(buf)
			pool, buf = &largeBuffers, largeBuffers.Get().(*[]byte)
		}
	}
}

// handleRead notes that a read returned, observes both endpoints before anything
// is forwarded, and says what to do, and after what delay.
func (f *tcpFlow) handleRead(from *endpoint, n int, err error) (action, time.Duration) {
	defer f.box.notify()
	f.mu.Lock()
	defer f.mu.Unlock()
	from.taken += int64(n)
	from.eof = err != nil
	if !f.reset && !f.aborted {
		now := time.Now()
		f.observe(from, now, n >= bulkFrom)
		if n > 0 && !f.reset && !f.aborted && !f.discarding[from.dir] {
			f.judgePayload(from, from.taken-int64(n))
		}
		f.logRead(from, now, n, err)
	}
	switch {
	case f.aborted || f.peerClosed && err != nil && !errors.Is(err, io.EOF):
		return quit, 0
	case f.reset:
		if err != nil || from == f.client {
			return quit, 0
		}
		return discard, 0
	case f.discarding[from.dir]:
		return hold, 0
	case err != nil && !errors.Is(err, io.EOF):
		// This side is gone, and the other shall know. What has been sent to
		// it before has been taken.
		f.resetBoth()
		return quit, 0
	}
	delay := f.delay[from.dir]
	f.delay[from.dir] = 0
	return forward, delay
}

// pause waits for the time that the models want, or until the flow is over.
func (f *tcpFlow) pause(d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.resumed:
	}
}

// logRead keeps what a read returned. f.mu is held.
func (f *tcpFlow) logRead(from *endpoint, now time.Time, n int, err error) {
	e := Event{At: now, Direction: from.dir, DSCP: from.mark, Offset: from.taken - int64(n), Bytes: n}
	e.Lost = f.reset || f.aborted || f.discarding[from.dir]
	if n > 0 {
		f.log.add(e)
	}
	if err == nil {
		return
	}
	e.Kind, e.Offset, e.Bytes = FIN, from.taken, 0
	if !errors.Is(err, io.EOF) {
		e.Kind = RST
	}
	f.log.add(e)
}

// writeFailed notes that a write to the other side of from failed, and reports
// whether to go on reading.
func (f *tcpFlow) writeFailed(from *endpoint) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reset {
		return true // by our own verdict: drain
	}
	// The other side is gone. What it sent last may still be on the way to this
	// one; that ends by itself, and so does a writer that is stuck.
	f.peerClosed = true
	from.conn.SetWriteDeadline(time.Now().Add(drainTime))
	return false
}

// isGone reports whether err says that a connection has ended.
func isGone(err error) bool {
	return errors.Is(err, net.ErrClosed)
}
