package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/godscp/godscp/dscp"
)

// An outcome is what became of a trial.
type outcome string

const (
	fine        outcome = "ok"
	lost        outcome = "no answer"   // to the SYN
	refused     outcome = "refused"     // a RST for the SYN
	unreachable outcome = "unreachable" // a router or a filter said no
	silent      outcome = "silent"      // came up, and then no answer
	cut         outcome = "reset"       // came up, and was reset or closed
	unmarkable  outcome = "unmarkable"  // this machine cannot mark so
	unjudged    outcome = "unjudged"    // no way to tell, the far end did not go on that far
	odd         outcome = "error"       // something else
	changed     outcome = "changed"     // lived, but its mark was changed on the way; of remedies alone
)

// A stage is how far a connection came.
type stage string

const (
	connecting stage = "connect"
	before     stage = "before" // the middle of the exchange
	after      stage = "after"
)

// A trial is one connection.
type trial struct {
	probe   probe
	outcome outcome
	stage   stage
	err     error
	seen    *sighting // what the far end saw, if it is ours
	begin   time.Time
	took    time.Duration
	void    bool // the far end was gone meanwhile, so it says nothing of marks
}

// A tester makes the trials of one target.
type tester struct {
	target  target
	timeout time.Duration
}

// try makes one trial.
func (x tester) try(ctx context.Context, p probe) trial {
	t := trial{probe: p, begin: time.Now(), stage: connecting}
	ctx, cancel := context.WithDeadline(ctx, t.begin.Add(x.timeout))
	defer cancel()
	t.outcome, t.err = x.talk(ctx, &t)
	t.took = time.Since(t.begin)
	return t
}

func (x tester) talk(ctx context.Context, t *trial) (outcome, error) {
	d := dscp.Dialer{DSCP: t.probe.mark}
	dial := d.DialContext
	if t.probe.changes {
		dial = d.Marked().DialContext // a pinned conn would refuse
	}
	return x.talkOver(ctx, t, dial)
}

// tryDialer makes one trial with a Dialer as a program would use it.
func (x tester) tryDialer(ctx context.Context, d dscp.Dialer) trial {
	t := trial{probe: constant(d.DSCP), begin: time.Now(), stage: connecting}
	// The marks that come to nothing take their time before the one that works.
	ctx, cancel := context.WithDeadline(ctx, t.begin.Add(x.timeout+time.Duration(len(d.Fallback))*fallbackDelay))
	defer cancel()
	t.outcome, t.err = x.talkOver(ctx, &t, d.DialContext)
	t.took = time.Since(t.begin)
	return t
}

// fallbackDelay is a Dialer's FallbackDelay, if that is not set.
const fallbackDelay = 1500 * time.Millisecond

// talkOver makes the connection and talks on it. It changes the mark in the
// middle if the probe does.
func (x tester) talkOver(ctx context.Context, t *trial, dial func(context.Context, string, string) (net.Conn, error)) (outcome, error) {
	c, err := dial(ctx, "tcp", x.target.addr.String())
	if err != nil {
		return connectOutcome(err), err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return odd, err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })() // an interrupt need not wait

	t.stage = before
	err = exchanges[x.target.scheme](c, x.target, t, func() error {
		if t.probe.changes {
			if err := remark(c, t.probe.to); err != nil {
				return err
			}
		}
		t.stage = after
		return nil
	})
	switch {
	case errors.Is(err, errNoMiddle) && !t.probe.changes:
		return fine, nil
	case err != nil:
		return exchangeOutcome(err), err
	}
	return fine, nil
}

func connectOutcome(err error) outcome {
	_, marking := errors.AsType[*dscp.MarkError](err)
	switch {
	case errors.Is(err, errors.ErrUnsupported), marking:
		return unmarkable
	case isTimeout(err):
		return lost
	case isAny(err, refusals):
		return refused
	case isAny(err, unreachables):
		return unreachable
	case isAny(err, resets):
		return cut
	}
	return odd
}

func exchangeOutcome(err error) outcome {
	_, marking := errors.AsType[*dscp.MarkError](err)
	switch {
	case marking:
		return unmarkable
	case errors.Is(err, errNoMiddle):
		return unjudged
	case isTimeout(err), errors.Is(err, net.ErrClosed): // closed by us, at the deadline
		return silent
	case isAny(err, resets), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cut
	}
	return odd
}

// isAny reports whether err is one of errs. resets and the like, in errno_unix.go,
// errno_windows.go and errno_other.go, are what the system has.
func isAny(err error, errs []error) bool {
	return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
