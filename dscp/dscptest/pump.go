package dscptest

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Buffers of the pumps. A flow that never fills a small one, like most of many
// thousand, does not need a large one; a bulk flow pays for its looks with
// every read, and large reads make them cheap.
const (
	smallBuffer = 16 << 10
	largeBuffer = 512 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// bulkFrom is the size of a read from which on looks are spared where they can
// be: interactive flows get exact offsets, bulk flows keep their speed.
const bulkFrom = 4 << 10

// A step is what a pump does with what it has read.
type step uint8

const (
	forward step = iota
	swallow      // read on, send nothing
	park         // read no more, hold the connection while the other side does
	quit
)

// pump carries from's payload to to until one of them is done.
func (f *tcpFlow) pump(from, to *leg) {
	pool, buf := &smallBuffers, smallBuffers.Get().(*[]byte)
	defer func() { pool.Put(buf) }()
	out := f.newSender(from, to)
	defer out.finish()
	for {
		n, err := from.conn.Read(*buf)
		switch f.took(from, n, err) {
		case swallow:
			continue
		case park:
			<-f.gone
			return
		case quit:
			return
		}
		if n > 0 && !out.send((*buf)[:n]) {
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

// took notes that a read returned, looks at both legs before anything goes on,
// and says what to do.
func (f *tcpFlow) took(from *leg, n int, err error) step {
	f.mu.Lock()
	defer f.mu.Unlock()
	from.taken += int64(n)
	from.eof = err != nil
	if !f.reset && !f.fault {
		now := time.Now()
		f.watch(from, now, n >= bulkFrom)
		if n > 0 && !f.reset && !f.fault && !f.dark[from.dir] {
			f.payload(from, from.taken-int64(n))
		}
		f.remember(from, now, n, err)
	}
	switch {
	case f.fault || f.torn && err != nil && !errors.Is(err, io.EOF):
		return quit
	case f.reset:
		if err != nil || from == f.client {
			return quit
		}
		return swallow
	case f.dark[from.dir]:
		return park
	case err != nil && !errors.Is(err, io.EOF):
		// This side is gone, and the other shall know. What has been sent to
		// it before has been taken.
		f.hangUp()
		return quit
	}
	return forward
}

// remember keeps what a read returned. f.mu is held.
func (f *tcpFlow) remember(from *leg, now time.Time, n int, err error) {
	e := Event{At: now, Direction: from.dir, DSCP: from.mark, Offset: from.taken - int64(n), Bytes: n}
	e.Lost = f.reset || f.fault || f.dark[from.dir]
	if n > 0 {
		f.seen.add(e)
	}
	if err == nil {
		return
	}
	e.Kind, e.Offset, e.Bytes = FIN, from.taken, 0
	if !errors.Is(err, io.EOF) {
		e.Kind = RST
	}
	f.seen.add(e)
}

// lost notes that a write to the other side of from failed, and reports
// whether to go on reading.
func (f *tcpFlow) lost(from *leg) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reset {
		return true // by our own verdict: drain
	}
	// The other side is gone. Its last words may still be on the way to this
	// one; they end by themselves, and so does a writer that is stuck.
	f.torn = true
	from.conn.SetWriteDeadline(time.Now().Add(drainTime))
	return false
}

// isGone reports whether err says that a connection has ended.
func isGone(err error) bool {
	return errors.Is(err, net.ErrClosed)
}
