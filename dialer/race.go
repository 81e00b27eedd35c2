package dialer

import (
	"context"
	"errors"
	"io"
	"time"
)

// Race makes one connection out of several attempts at it. It starts the first
// attempt at once and each further one when delay has passed since the one
// before was started, or as soon as the one before has failed. A negative delay
// waits for failures alone. Attempts that have been started go on: the first
// that succeeds, whichever it is, wins.
//
// Race returns the connection that won and the index of its attempt. The others
// are cancelled by their context; should one of them still succeed, Race closes
// what it made. An attempt must return soon after its context has ended, as the
// Dial functions of net do, and what it has made must outlive that context: it
// ends for the winner too.
//
// If no attempt succeeds the error is a [*RaceError]. An attempt that knows that
// the others cannot do better says so with [Stop]. When ctx ends, no further
// attempt is started; Race waits for those that are running, so that the error
// tells what each came to.
func Race[C io.Closer](ctx context.Context, delay time.Duration, attempts ...func(context.Context) (C, error)) (conn C, winner int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		attempt int
		conn    C
		err     error
	}
	results := make(chan result)
	returned := make(chan struct{})
	defer close(returned)

	var timer *time.Timer
	var due <-chan time.Time // never, until an attempt has been started
	if delay >= 0 {
		timer = time.NewTimer(delay)
		defer timer.Stop()
	}
	fates := make([]error, len(attempts))
	for i := range fates {
		fates[i] = errNotStarted
	}
	started, running := 0, 0
	start := func() {
		i := started
		started++
		running++
		fates[i] = errGivenUp
		due = nil
		if timer != nil && started < len(attempts) {
			timer.Reset(delay)
			due = timer.C
		}
		go func() {
			conn, err := attempts[i](ctx)
			select {
			case results <- result{i, conn, err}:
			case <-returned:
				if err == nil {
					conn.Close()
				}
			}
		}()
	}
	if len(attempts) > 0 {
		start() // even if ctx has ended: the attempt's own error says more
	}
	for running > 0 {
		select {
		case r := <-results:
			if r.err == nil {
				return r.conn, r.attempt, nil
			}
			running--
			fates[r.attempt] = r.err
			if stop, ok := r.err.(*stopError); ok {
				fates[r.attempt] = stop.error
				return conn, -1, &RaceError{Errs: fates, stopped: true}
			}
			if r.attempt == started-1 && started < len(attempts) && !over(ctx) {
				start()
			}
		case <-due:
			if !over(ctx) {
				start()
			}
		}
	}
	return conn, -1, &RaceError{Errs: fates}
}

// over reports whether ctx has ended, or is about to: an attempt that keeps its
// deadline by a timer of its own, as net's do, may fail a moment earlier.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// Stop wraps the error of an attempt that settles the matter for all. An attempt
// returns it as it is: [Race] then starts no further one, cancels those that are
// running, and returns. In the [RaceError] stands err itself. Stop(nil) is nil.
func Stop(err error) error {
	if err == nil {
		return nil
	}
	return &stopError{err}
}

type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// The fates of attempts that have no error of their own. They are not context
// errors: the caller's context may be well.
var (
	errNotStarted = errors.New("not started")
	errGivenUp    = errors.New("given up")
)
