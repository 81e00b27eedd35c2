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

// drainTime is how long the box reads from a server after the flow was reset.
const drainTime = 2 * time.Second

// Buffers of the pumps. A pump changes to a large one once a read has filled a small
// one. In a bulk flow the box samples the marks at every read, so large reads make it
// cheaper.
const (
	smallBuffer = 16 << 10
	largeBuffer = 512 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// bulkFrom is the size of a read from which on the box takes fewer samples, so that
// bulk flows are fast. Smaller reads get exact offsets.
const bulkFrom = 4 << 10

// An action is what a pump does with what it has read.
type action uint8

const (
	forward action = iota
	discard        // read on, send nothing
	hold           // read no more, and keep the connection until the flow is over
	quit
)

// A tcpFlow relays one connection. It has two goroutines, one for each direction.
// Each observes both endpoints and carries out what the models decide.
type tcpFlow struct {
	box    *Middlebox
	client *endpoint
	server *endpoint // its conn is nil until the upstream has been reached

	mu         sync.Mutex
	rec        Flow // without what record adds
	log        eventLog
	reset      bool             // by a verdict: the client is gone, the server is drained
	discarding [2]bool          // by a verdict: what the direction carries is discarded
	delay      [2]time.Duration // by the models, of what the direction carries next
	resumed    chan struct{}    // closed by a reset, or when both connections are reset
	stopPauses func()           // closes resumed
	done       chan struct{}    // closed when both connections are reset
	aborted    bool             // both connections are reset, not by a verdict
	peerClosed bool             // one side is gone: the other is reset once it has read its last bytes
}

// errNoSYN is the error of a flow whose SYN has an unknown mark.
var errNoSYN = errors.New("dscptest: the mark of the SYN is not known: the kernel used a SYN cookie and the client is gone")

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

// holdIfDiscarding keeps the connection of a client whose input is discarded open
// until the box closes.
func (f *tcpFlow) holdIfDiscarding() {
	f.mu.Lock()
	discarding := f.discarding[ClientToServer]
	f.mu.Unlock()
	if discarding {
		<-f.done
	}
}

// readSYN learns the mark of the SYN and returns the mark for the SYN to the upstream;
// false if the flow is over.
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
	if err != nil { // a SYN cookie: take what the client sends now
		var ok bool
		if syn, ok = e.probe.Mark(); !ok {
			return f.fail(errNoSYN)
		}
	}
	f.rec.SYN = syn
	e.unchanged.Segments = 2 // the SYN and, with the same mark, the acknowledgement that ended the handshake
	return f.judgeFirst(e, syn)
}

// dialUpstream connects to the upstream with a SYN marked syn and learns the mark of
// the answer. It returns false if the flow is over.
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
	if b.stopping.Err() != nil { // Close has aborted the flow before it had a server
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
	case !ok || b.Sensor() != WireEvery: // which has captured the SYN-ACK, unless it lost it
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

// judgeFirst calls the models with the first mark of an endpoint, acts, and returns
// the mark with which it travels on; false if the flow is over. f.mu is held.
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

// idleSample is the least time between two samples of the direction that only
// acknowledges a bulk transfer: a sample costs as much as some kilobytes.
const idleSample = 200 * time.Microsecond

// observe samples both endpoints and acts on what they show. Data has just arrived on
// one of them; bulk says that it was much. f.mu is held.
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

// judgeChange records that an endpoint shows another mark, calls the models and acts.
// f.mu is held.
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

// judgePayload calls the models with what was read off an endpoint, from offset on,
// under its latest mark, and acts. f.mu is held.
func (f *tcpFlow) judgePayload(e *endpoint, offset int64) {
	if !e.known {
		return // the mark of its sender is not known
	}
	d, err := f.box.chain.judge(Segment{
		Network: f.rec.Network, Direction: e.dir, DSCP: e.mark, Offset: offset, Length: e.taken - offset,
	}, e.history)
	if err != nil {
		f.fail(err)
		return
	}
	if d.verdict.harder(f.rec.Verdict) || d.reporter != "" && f.rec.Reported == "" { // otherwise the reason is not needed
		f.rec.note(d, d.payloadReason(e.dir, e.mark))
	}
	f.delay[e.dir] = min(f.delay[e.dir]+d.delay, maxDelay)
	f.apply(e, d.verdict)
	f.forwardMark(e, d.out)
}

// apply carries out a verdict on what arrived on e. f.mu is held. The record has the
// verdict already, so a program that notices the effect finds it there.
func (f *tcpFlow) apply(e *endpoint, v Verdict) {
	switch v.withoutDelay() {
	case Reset:
		// The client first. The server gets a FIN. If the server came first,
		// most clients would read a clean EOF.
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

// forwardMark sets the mark of what the box sends in the direction of e. f.mu is held.
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

// fail ends the flow because of an error in the box. f.mu is held.
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
	// The pumps may not have read the latest segments yet.
	if !f.reset && !f.aborted && f.client.probe != nil && f.server.probe != nil {
		f.observe(f.client, time.Now(), false)
	}
	f.resetBoth()
}

// finish closes the connections of the flow and releases its probes.
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

// handleRead records what a read returned and observes both endpoints, before anything
// is forwarded. It returns what to do, and after which delay.
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
		// This side is gone: reset the other, too. All that this side sent has been
		// written to it.
		f.resetBoth()
		return quit, 0
	}
	delay := f.delay[from.dir]
	f.delay[from.dir] = 0
	return forward, delay
}

// pause waits for d, the delay that the models returned, or until the flow is over.
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

// logRead logs what a read returned. f.mu is held.
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

// writeFailed records that a write of from's data failed, and reports whether to go on
// reading.
func (f *tcpFlow) writeFailed(from *endpoint) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reset {
		return true // a verdict has reset it: drain
	}
	// The other side is gone. The other pump may still write to this side what that
	// side sent last. The deadline ends a write that this side never reads.
	f.peerClosed = true
	from.conn.SetWriteDeadline(time.Now().Add(drainTime))
	return false
}

// isGone reports whether err says that a connection is closed.
func isGone(err error) bool {
	return errors.Is(err, net.ErrClosed)
}
