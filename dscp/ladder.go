package dscp

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/godscp/godscp/dialer"
)

// defaultFallbackDelay leaves a SYN that was lost by chance the time to be sent
// again, after 1 s (RFC 6298, section 2), and to be answered.
const defaultFallbackDelay = 1500 * time.Millisecond

var errNegativeDelay = errors.New("dscp: negative FallbackDelay")

// checkLadder is check for the rungs below the first.
func (d *Dialer) checkLadder(network string) error {
	if d.FallbackDelay < 0 {
		return errNegativeDelay
	}
	for _, cp := range d.Fallback {
		if err := newMarking(cp, d.NATSafe, d.AllowUnmarked).check(network); err != nil {
			return err
		}
	}
	return nil
}

// ladder returns the marks that a dial on the network tries, in order and each
// once, or nil if there is nothing to fall back to.
func (d *Dialer) ladder(network string) []CodePoint {
	if len(d.Fallback) == 0 || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	if host.blind != "" {
		return nil // marked or not, all rungs are the same there
	}
	rungs := []CodePoint{d.marking().cp}
	for _, cp := range d.Fallback {
		if cp = newMarking(cp, d.NATSafe, false).cp; !slices.Contains(rungs, cp) {
			rungs = append(rungs, cp)
		}
	}
	if len(rungs) == 1 {
		return nil
	}
	return rungs
}

// climb dials with one mark after another, each on a fresh connection, until
// one comes up. local is the address that the caller wants to dial from.
func (d *Dialer) climb(ctx context.Context, network, address string, local net.Addr, rungs []CodePoint,
	dial func(context.Context, *net.Dialer) (*Conn, error)) (*Conn, error) {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	delay := d.FallbackDelay
	if delay == 0 {
		delay = defaultFallbackDelay
	}
	// Two connections cannot share a local port, so with a fixed one a rung has
	// to end before the next begins.
	alone := hasPort(local)

	attempts := make([]func(context.Context) (*Conn, error), len(rungs))
	for i, cp := range rungs {
		attempts[i] = func(ctx context.Context) (*Conn, error) {
			if alone && i < len(rungs)-1 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, delay)
				defer cancel()
			}
			c, err := dial(ctx, d.marked(cp))
			// The first rung speaks for all, but when a later one lacks a name
			// server or a descriptor, those before it may still come up.
			if refused(err) || i == 0 && err != nil && !earnsRung(err) {
				return nil, dialer.Stop(err)
			}
			return c, err
		}
	}
	if alone {
		delay = -1
	}
	c, _, err := dialer.Race(ctx, delay, attempts...)
	if err == nil {
		return c, nil
	}
	return nil, ladderError(network, address, rungs, err.(*dialer.RaceError))
}

// ladderError puts the code point to the fate of each rung. What the first rung
// has found out for all, that nobody listens or that the name does not exist,
// comes as it does without Fallback.
func ladderError(network, address string, rungs []CodePoint, race *dialer.RaceError) error {
	if op, ok := race.Errs[0].(*net.OpError); ok && !earnsRung(op) {
		return withCodePoint(op, rungs[0])
	}
	for i, err := range race.Errs {
		race.Errs[i] = &MarkError{CodePoint: rungs[i], Err: err}
	}
	return opError("dial", network, address, race)
}

// earnsRung reports whether a dial that ended with err might come up with
// another mark. A dial that was cancelled settles nothing either.
func earnsRung(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false // no packet to the server was sent
	}
	if m, ok := errors.AsType[*MarkError](err); ok && m.Option != "" {
		return false // the socket refused the mark: AllowUnmarked is for that
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, context.Canceled) || filtered(err)
}

// bound returns a ctx that ends when NetDialer's Timeout or Deadline does, so
// that they hold for all rungs together.
func (d *Dialer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	nd := d.NetDialer
	if nd == nil {
		return context.WithCancel(ctx)
	}
	deadline := nd.Deadline
	if nd.Timeout != 0 {
		if t := time.Now().Add(nd.Timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline)
}

// hasPort reports whether a names a local port.
func hasPort(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t != nil && t.Port != 0
}
