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

// Control runs f on the socket. If f is a function of x/net or of this module that may
// set a mark, Control first runs it on another socket and returns an error if that
// changes the mark there or cannot be done. On the real socket f is watched, too: a
// setting that failed on the other socket may succeed there.
//
// In a sealed process Control tries and watches nothing, since the kernel refuses to
// set a mark without the secret. It refuses x/net's methods that set a mark, and the
// functions of this module, which have the secret.
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

// Read runs f until it reports that it is done; see [syscall.RawConn].
func (g guardedConn) Read(f func(fd uintptr) (done bool)) error {
	if isSealed() || originOf(f) == xnetIO {
		return g.raw.Read(f)
	}
	w := watchedCalls.Get().(*watchedCall)
	w.pin, w.attempt = g.pin, f
	err := g.raw.Read(w.attempts)
	return g.outcome("raw-read", err, w.put())
}

// Write runs f until it reports that it is done; see [syscall.RawConn].
func (g guardedConn) Write(f func(fd uintptr) (done bool)) error {
	if isSealed() || originOf(f) == xnetIO {
		return g.raw.Write(f)
	}
	w := watchedCalls.Get().(*watchedCall)
	w.pin, w.attempt = g.pin, f
	err := g.raw.Write(w.attempts)
	return g.outcome("raw-write", err, w.put())
}

// outcome joins the error of net and that of the guard.
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
	attempts func(fd uintptr) bool // runs attempt; ends after a refused run
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

// put returns w to the pool and returns why the call was refused. It is not called after
// a panic.
func (w *watchedCall) put() error {
	refused := w.refused
	w.pin, w.f, w.attempt, w.refused = nil, nil, nil, nil
	watchedCalls.Put(w)
	return refused
}
