package dscp

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// guardedConn is a syscall.RawConn that refuses to change the mark.
type guardedConn struct{ *pin }

func (p *pin) guarded() (syscall.RawConn, error) {
	if err := p.alive(); err != nil {
		return nil, err
	}
	return guardedConn{p}, nil
}

// Control runs f on the socket, unless it is x/net's and the trial on another
// socket has changed the mark, or could not be made. What has failed there may
// succeed here, so it is watched too.
func (g guardedConn) Control(f func(fd uintptr)) error {
	watch := g.watch
	switch originOf(f) {
	case xnetGet:
		return g.raw.Control(f)
	case xnetSet:
		changes, err := g.tryElsewhere(f)
		if err != nil {
			return g.opError("raw-control", err)
		}
		if changes != nil {
			return g.opError("raw-control", changes)
		}
		// An unknown closure that is at work may be the one that calls, and must
		// not wait for itself. So f runs as it is, since its trial changed no mark.
		if !g.closure.TryLock() {
			return g.raw.Control(f)
		}
		defer g.closure.Unlock()
		watch = g.compare
	}
	var refused error
	err := g.raw.Control(func(fd uintptr) {
		refused = watch(fd, func() { f(fd) })
	})
	return g.outcome("raw-control", err, refused)
}

// Read runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Read(f func(fd uintptr) (done bool)) error {
	if originOf(f) == xnetIO {
		return g.raw.Read(f)
	}
	var refused error
	err := g.raw.Read(g.watched(f, &refused))
	return g.outcome("raw-read", err, refused)
}

// Write runs f as net's own raw conn does, until it reports that it is done.
func (g guardedConn) Write(f func(fd uintptr) (done bool)) error {
	if originOf(f) == xnetIO {
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

// watch is compare for an f that runs alone, or the change of another would be
// taken for its own.
func (g guardedConn) watch(fd uintptr, f func()) (refused error) {
	g.closure.Lock()
	defer g.closure.Unlock()
	return g.compare(fd, f)
}

// compare runs f, compares the marks of the socket before and after, and puts
// back what f has changed, to what it was just before: not to the pinned mark,
// which somebody may have left by one of the ways out. To set the pinned mark is
// no offence, on either option. f does not run at all while the marks cannot be
// read.
func (g guardedConn) compare(fd uintptr, f func()) (refused error) {
	before := marksOf(tos.FD(fd))
	if err := g.unread(before); err != nil {
		return err
	}
	defer func() { refused = g.restore(fd, before) }() // also if f panics
	f()
	return nil
}

func (g guardedConn) restore(fd uintptr, before marks) error {
	after := marksOf(tos.FD(fd))
	refused := g.unread(after)
	unknown := refused != nil // so all that may have changed is put back
	var failed error
	for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
		wanted, changed := after.changed(before, opt)
		switch {
		case unknown && before.has(opt):
		case changed && wanted != g.pinned(opt):
			refused = g.midFlow(opt, wanted)
		default:
			continue
		}
		failed = errors.Join(failed, opt.Set(tos.FD(fd), before[opt].octet))
	}
	if failed != nil {
		return fmt.Errorf("%w, and putting it back failed: %w", refused, failed)
	}
	return refused
}

// unread returns the reason why m does not tell all that the socket holds. One
// that has been reset sends nothing any more.
func (p *pin) unread(m marks) error {
	for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
		if err := m[opt].err; err != nil && !p.meansNoOption(opt, err) && !(tos.Host.RefusesAfterReset && resetByPeer(err)) {
			return fmt.Errorf("the mark cannot be read: %v: %w", opt, err)
		}
	}
	return nil
}

// marks are the octets that the options of one socket hold.
type marks [2]struct {
	octet uint8
	err   error // why it is not known
}

// has reports whether the socket has the option.
func (m marks) has(opt tos.Option) bool { return m[opt].err == nil }

func marksOf(raw syscall.RawConn) marks {
	var m marks
	for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
		m[opt].octet, m[opt].err = opt.Get(raw)
	}
	return m
}

// changed returns the code point that opt holds in m, and whether it is another
// than in before. ECN bits are not ours to guard.
func (m marks) changed(before marks, opt tos.Option) (CodePoint, bool) {
	cp := FromTOS(m[opt].octet)
	return cp, m.has(opt) && before.has(opt) && cp != FromTOS(before[opt].octet)
}
