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

// An outcome is the outcome of a trial.
type outcome string

const (
	fine        outcome = "ok"
	lost        outcome = "no answer"   // no answer to the SYN
	refused     outcome = "refused"     // a RST for the SYN
	unreachable outcome = "unreachable" // a router or a filter rejected the SYN
	silent      outcome = "silent"      // established, then no answer
	cut         outcome = "reset"       // established, then reset or closed
	unmarkable  outcome = "unmarkable"  // this machine cannot set the mark
	unjudged    outcome = "unjudged"    // the server ended the exchange before midway
	odd         outcome = "error"       // another error
	changed     outcome = "changed"     // only for remedies: worked, but the path changed the mark
)

// A stage is the stage that a connection reached.
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
	seen    *sighting // the marks at the server, with -peer
	begin   time.Time
	took    time.Duration
	void    bool // does not count: an unmarked connection failed, too
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
		dial = d.Marked().DialContext // a pinned conn would refuse the change
	}
	return x.talkOver(ctx, t, dial)
}

// tryDialer makes one trial with the Dialer itself.
func (x tester) tryDialer(ctx context.Context, d dscp.Dialer) trial {
	t := trial{probe: constant(d.DSCP), begin: time.Now(), stage: connecting}
	// Each mark of Fallback is tried after a delay.
	ctx, cancel := context.WithDeadline(ctx, t.begin.Add(x.timeout+time.Duration(len(d.Fallback))*fallbackDelay))
	defer cancel()
	t.outcome, t.err = x.talkOver(ctx, &t, d.DialContext)
	t.took = time.Since(t.begin)
	return t
}

// fallbackDelay is the default of a Dialer's FallbackDelay.
const fallbackDelay = 1500 * time.Millisecond

// talkOver connects and runs the exchange. At midway it changes the mark if the probe
// does.
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
	defer context.AfterFunc(ctx, func() { c.Close() })() // an interrupt ends it at once

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
	case isTimeout(err), errors.Is(err, net.ErrClosed): // talkOver closed it when ctx ended
		return silent
	case isAny(err, resets), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cut
	}
	return odd
}

// isAny reports whether err matches one of errs. Resets and the other lists are in
// errno_unix.go, errno_windows.go and errno_other.go.
func isAny(err error, errs []error) bool {
	return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
