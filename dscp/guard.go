package dscp

import (
	"errors"
	"fmt"
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

// Control runs f on the socket, or on a scratch one if f is x/net's and would
// change the mark.
func (g guardedConn) Control(f func(fd uintptr)) error {
	switch whose(f) {
	case xnetGet:
		return g.raw.Control(f)
	case xnetSet:
		changes, err := g.rehearse(f)
		if err != nil {
			return g.opError("raw-control", err)
		}
		if changes != nil {
			return g.opError("raw-control", changes)
		}
		return g.raw.Control(f)
	}
	var refused error
	err := g.raw.Control(func(fd uintptr) {
		refused = g.watch(fd, func() { f(fd) })
	})
	return g.outcome("raw-control", err, refused)
}

// Read runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Read(f func(fd uintptr) (done bool)) error {
	if whose(f) == xnetIO {
		return g.raw.Read(f)
	}
	var refused error
	err := g.raw.Read(g.watched(f, &refused))
	return g.outcome("raw-read", err, refused)
}

// Write runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Write(f func(fd uintptr) (done bool)) error {
	if whose(f) == xnetIO {
		return g.raw.Write(f)
	}
	var refused error
	err := g.raw.Write(g.watched(f, &refused))
	return g.outcome("raw-write", err, refused)
}

// watched wraps each run of f, which may be called again whenever the socket
// is ready; a refused run is the last.
func (g guardedConn) watched(f func(uintptr) bool, refused *error) func(uintptr) bool {
	return func(fd uintptr) (done bool) {
		*refused = g.watch(fd, func() { done = f(fd) })
		return done || *refused != nil
	}
}

// outcome puts together what net and the guard have to say.
func (g guardedConn) outcome(op string, err, refused error) error {
	if refused == nil {
		return err
	}
	return g.opError(op, errors.Join(refused, err))
}

// watch runs f, compares the marks of the socket before and after, and puts
// back what f has changed, to what it was just before: not to the pinned mark,
// which somebody may have left by one of the ways out. To set the pinned mark is
// no offence, on either option. f runs alone, or the change of another would be
// taken for its own.
func (g guardedConn) watch(fd uintptr, f func()) (refused error) {
	g.closure.Lock()
	defer g.closure.Unlock()
	before := marksOf(heldFD(fd))
	defer func() { refused = g.restore(fd, before) }() // also if f panics
	f()
	return nil
}

func (g guardedConn) restore(fd uintptr, before marks) error {
	var refused error
	after := marksOf(heldFD(fd))
	for _, opt := range []option{ipTOS, trafficClass} {
		wanted, changed := after.changed(before, opt)
		if !changed || wanted == g.pinned(opt) {
			continue
		}
		refused = g.midFlow(opt, wanted)
		if err := opt.set(heldFD(fd), before[opt].octet); err != nil {
			refused = fmt.Errorf("%w, and putting it back failed: %w", refused, err)
		}
	}
	return refused
}

// marks are the octets that the options of one socket hold.
type marks [2]struct {
	octet uint8
	ok    bool // the socket has the option
}

func marksOf(raw syscall.RawConn) marks {
	var m marks
	for _, opt := range []option{ipTOS, trafficClass} {
		octet, err := opt.get(raw)
		m[opt].octet, m[opt].ok = octet, err == nil
	}
	return m
}

// changed returns the code point that opt holds in m, and whether it is another
// than in before. ECN bits are not ours to guard.
func (m marks) changed(before marks, opt option) (CodePoint, bool) {
	cp := FromTOS(m[opt].octet)
	return cp, m[opt].ok && before[opt].ok && cp != FromTOS(before[opt].octet)
}
