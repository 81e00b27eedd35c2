package dscp

import (
	"errors"
	"sync"
	"syscall"
)

// guardedConn is a syscall.RawConn that refuses to change the mark.
type guardedConn struct{ *pin }

func (p *pin) guarded() (syscall.RawConn, error) {
	if err := p.alive(); err != nil {
		return nil, err
	}
	return guardedConn{p}, nil
}

// Control runs f on the socket, unless it is one of x/net's, or of this module's,
// that may set a mark, and the trial on another socket has changed that, or could
// not be made. What has failed there may succeed here, so it is watched too.
//
// In a sealed process the kernel refuses what others set, so that nothing is tried
// or watched; what carries the secret must not get that far.
func (g guardedConn) Control(f func(fd uintptr)) error {
	from, method := originOf(f), callerUnknown
	if from == xnetSet {
		method = xnetCaller()
	}
	switch {
	case from == xnetGet, method == callerElse:
		return g.raw.Control(f)
	case isSealed():
		if from == secretSet || method == callerMark {
			return g.opError("raw-control", errSealed)
		}
		return g.raw.Control(f)
	case from != unknown:
		if err := g.tryElsewhere(f); err != nil {
			return g.opError("raw-control", err)
		}
	}
	w := watchedCalls.Get().(*watchedCall)
	w.pin, w.f = g.pin, f
	err := g.raw.Control(w.once)
	return g.outcome("raw-control", err, w.put())
}

// Read runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Read(f func(fd uintptr) (done bool)) error {
	if isSealed() || originOf(f) == xnetIO {
		return g.raw.Read(f)
	}
	w := watchedCalls.Get().(*watchedCall)
	w.pin, w.attempt = g.pin, f
	err := g.raw.Read(w.attempts)
	return g.outcome("raw-read", err, w.put())
}

// Write runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Write(f func(fd uintptr) (done bool)) error {
	if isSealed() || originOf(f) == xnetIO {
		return g.raw.Write(f)
	}
	w := watchedCalls.Get().(*watchedCall)
	w.pin, w.attempt = g.pin, f
	err := g.raw.Write(w.attempts)
	return g.outcome("raw-write", err, w.put())
}

// outcome puts together what net and the guard have to say.
func (g guardedConn) outcome(op string, err, refused error) error {
	if refused == nil {
		return err
	}
	return g.opError(op, errors.Join(refused, err))
}

// A watchedCall runs one unknown function and has a pin compare the marks before
// and after. Its closures are made once.
type watchedCall struct {
	pin     *pin
	f       func(fd uintptr)
	attempt func(fd uintptr) (done bool)
	refused error

	once     func(fd uintptr)      // runs f
	attempts func(fd uintptr) bool // runs attempt; a refused run is the last
}

var watchedCalls = sync.Pool{New: func() any {
	w := new(watchedCall)
	w.once = func(fd uintptr) { w.refused = w.pin.watch(fd, func() { w.f(fd) }) }
	w.attempts = func(fd uintptr) (done bool) {
		w.refused = w.pin.watch(fd, func() { done = w.attempt(fd) })
		return done || w.refused != nil
	}
	return w
}}

// put returns w to the pool and returns why the call was refused. After a panic it
// is not called.
func (w *watchedCall) put() error {
	refused := w.refused
	w.pin, w.f, w.attempt, w.refused = nil, nil, nil, nil
	watchedCalls.Put(w)
	return refused
}
