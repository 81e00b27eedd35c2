package dscp

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fakeAttempt runs in a synctest bubble. It has a socket after lookup. It connects,
// or fails with err, after takes. Both are counted from its start. With lateSocket it
// makes another socket after it has failed, as net may, which dials both families at
// once.
type fakeAttempt struct {
	lookup        time.Duration
	takes         time.Duration
	err           error
	final         bool
	ignoresCancel bool
	lateSocket    time.Duration // since its start; 0: none
}

// A fakeRecord is the outcome of a fakeAttempt.
type fakeRecord struct {
	conn      *Conn
	why       string
	started   time.Duration // since the loop began
	cancelled error         // the cause
	discarded atomic.Bool
}

// A fakeRun is the outcome of the loop.
type fakeRun struct {
	records []*fakeRecord
	won     int // noWinner: none
	err     error
	errs    []error
	took    time.Duration
}

const (
	never    = time.Hour // longer than any loop in these tests
	noStart  = -1
	noWinner = -1
)

var (
	errDown  = errors.New("down")
	errFinal = errors.New("final")
)

// runFakes runs the loop over the attempts and returns when all goroutines have
// ended; synctest fails the test if one does not. A positive timeout is that of the
// context.
func runFakes(t *testing.T, a attempts, timeout time.Duration, fakes ...fakeAttempt) (run fakeRun) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		begin := time.Now()
		for range fakes {
			run.records = append(run.records, &fakeRecord{conn: new(Conn), started: noStart})
		}
		a.count, a.why = len(fakes), "first"
		a.try = func(ctx context.Context, i int, why string, hasSocket func()) outcome {
			fake, rec := fakes[i], run.records[i]
			rec.started, rec.why = time.Since(begin), why
			if fake.lateSocket > 0 {
				time.AfterFunc(fake.lateSocket, hasSocket)
			}
			done := ctx.Done()
			if fake.ignoresCancel {
				done = nil
			}
			socket, end := time.After(fake.lookup), time.After(fake.takes)
			if fake.lookup >= fake.takes {
				socket = nil
			}
			for {
				select {
				case <-socket:
					hasSocket()
					hasSocket() // for another address of the name
				case <-end:
					if fake.err != nil {
						return outcome{err: fake.err, final: fake.final}
					}
					return outcome{conn: rec.conn}
				case <-done:
					rec.cancelled = context.Cause(ctx)
					return outcome{err: rec.cancelled}
				}
			}
		}
		a.discard = func(o outcome) {
			for _, rec := range run.records {
				if rec.conn == o.conn {
					rec.discarded.Store(true)
				}
			}
		}
		var o outcome
		o, run.errs = a.run(ctx)
		run.took, run.err, run.won = time.Since(begin), o.err, noWinner
		for i, rec := range run.records {
			if rec.conn == o.conn {
				run.won = i
			}
		}
		// The clock of the bubble stops when this goroutine ends, and attempts that
		// ignore their context end only when their time has passed.
		time.Sleep(2 * never)
	})
	return run
}

func TestAttemptsStart(t *testing.T) {
	const s = time.Second
	up := func(d time.Duration) fakeAttempt { return fakeAttempt{takes: d} }
	down := func(d time.Duration) fakeAttempt { return fakeAttempt{takes: d, err: errDown} }
	slow := func(lookup, d time.Duration) fakeAttempt { return fakeAttempt{lookup: lookup, takes: d} }
	alone := attempts{delay: 10 * s, alone: true}
	for name, tt := range map[string]struct {
		attempts attempts
		fakes    []fakeAttempt
		starts   []time.Duration
		whys     []string
		won      int
		took     time.Duration
	}{
		"only the first, if it connects before the delay": {
			attempts{delay: 2 * s},
			[]fakeAttempt{up(s), up(1)},
			[]time.Duration{0, noStart},
			[]string{"first", ""}, 0, s,
		},
		"one after another": {
			attempts{delay: 2 * s},
			[]fakeAttempt{up(never), up(never), up(s)},
			[]time.Duration{0, 2 * s, 4 * s},
			[]string{"first", "delay", "delay"}, 2, 5 * s,
		},
		"the first still wins after others have started": {
			attempts{delay: 2 * s},
			[]fakeAttempt{up(5 * s), up(never), up(never)},
			[]time.Duration{0, 2 * s, 4 * s},
			[]string{"first", "delay", "delay"}, 0, 5 * s,
		},
		"at once after a failure": {
			attempts{delay: 2 * s},
			[]fakeAttempt{down(s), up(s)},
			[]time.Duration{0, s},
			[]string{"first", "failure"}, 1, 2 * s,
		},
		"the delay starts again after a failure": {
			attempts{delay: 2 * s},
			[]fakeAttempt{down(s), up(never), up(s)},
			[]time.Duration{0, s, 3 * s},
			[]string{"first", "failure", "delay"}, 2, 4 * s,
		},
		"an older failure does not start the next": {
			attempts{delay: 2 * s},
			[]fakeAttempt{down(3 * s), up(never), up(s)},
			[]time.Duration{0, 2 * s, 4 * s},
			[]string{"first", "delay", "delay"}, 2, 5 * s,
		},
		"each but the last fails": {
			attempts{delay: 2 * s},
			[]fakeAttempt{down(0), down(0), up(0)},
			[]time.Duration{0, 0, 0},
			[]string{"first", "failure", "failure"}, 2, 0,
		},
		"the newest fails, an older one wins": {
			attempts{delay: 2 * s},
			[]fakeAttempt{up(5 * s), down(s)},
			[]time.Duration{0, 2 * s},
			[]string{"first", "delay"}, 0, 5 * s,
		},
		"without a delay all at once": {
			attempts{},
			[]fakeAttempt{up(2 * s), up(s), up(3 * s)},
			[]time.Duration{0, 0, 0},
			[]string{"first", "delay", "delay"}, 1, s,
		},
		"the delay begins after the lookup": {
			attempts{delay: 2 * s},
			[]fakeAttempt{slow(5*s, never), slow(s, never), up(s)},
			[]time.Duration{0, 7 * s, 10 * s},
			[]string{"first", "delay", "delay"}, 2, 11 * s,
		},
		"no delay without a socket": {
			attempts{delay: 2 * s},
			[]fakeAttempt{slow(never, never), up(0)},
			[]time.Duration{0, noStart},
			[]string{"first", ""}, 0, never,
		},
		"a late socket of an older attempt starts nothing": {
			attempts{delay: 2 * s},
			[]fakeAttempt{{takes: 0, err: errDown, lateSocket: s}, slow(5*s, 20*s), up(never)},
			[]time.Duration{0, 0, 7 * s},
			[]string{"first", "failure", "delay"}, 1, 20 * s,
		},
		"one attempt": {
			attempts{delay: 2 * s},
			[]fakeAttempt{up(9 * s)},
			[]time.Duration{0},
			[]string{"first"}, 0, 9 * s,
		},
		"alone, after a failure": {
			alone,
			[]fakeAttempt{down(9 * s), up(9 * s), up(0)},
			[]time.Duration{0, 9 * s, noStart},
			[]string{"first", "failure", ""}, 1, 18 * s,
		},
		"alone, the next replaces the one before": {
			alone,
			[]fakeAttempt{up(11 * s), slow(s, never), up(s)},
			[]time.Duration{0, 10 * s, 21 * s},
			[]string{"first", "failure", "failure"}, 2, 22 * s,
		},
		"alone, the last has no limit": {
			alone,
			[]fakeAttempt{down(0), up(never)},
			[]time.Duration{0, 0},
			[]string{"first", "failure"}, 1, never,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := runFakes(t, tt.attempts, 0, tt.fakes...)
			require.NoError(t, run.err)
			require.Empty(t, run.errs)
			assert.Equal(t, tt.won, run.won)
			assert.Equal(t, tt.took, run.took)
			for i, rec := range run.records {
				assert.Equal(t, tt.starts[i], rec.started, "start of %d", i)
				assert.Equal(t, tt.whys[i], rec.why, "why %d started", i)
				assert.False(t, rec.discarded.Load(), "%d discarded", i)
			}
		})
	}
}

// TestAttemptsAloneDoNotOverlap checks that an attempt which the next one replaces is
// cancelled with errOverdue, and that the next one waits until it has ended.
func TestAttemptsAloneDoNotOverlap(t *testing.T) {
	run := runFakes(t, attempts{delay: time.Second, alone: true}, 0,
		fakeAttempt{takes: never},
		fakeAttempt{takes: 5 * time.Second, err: errDown, ignoresCancel: true},
		fakeAttempt{takes: time.Second},
	)
	assert.Equal(t, 2, run.won)
	require.ErrorIs(t, run.records[0].cancelled, errOverdue)
	assert.Equal(t, time.Second, run.records[1].started)
	assert.Equal(t, 6*time.Second, run.records[2].started)
}

func TestAttemptsCancelAndDiscardLosers(t *testing.T) {
	run := runFakes(t, attempts{delay: time.Second}, 0,
		fakeAttempt{takes: never},
		fakeAttempt{takes: never, ignoresCancel: true}, // connects long after the loop has ended
		fakeAttempt{takes: never, ignoresCancel: true, err: errDown},
		fakeAttempt{takes: time.Second},
	)
	assert.Equal(t, 3, run.won)
	require.ErrorIs(t, run.records[0].cancelled, context.Canceled)
	assert.True(t, run.records[1].discarded.Load(), "a late connection must be closed")
	assert.False(t, run.records[2].discarded.Load(), "there is nothing to close")
	assert.False(t, run.records[3].discarded.Load(), "the winner must stay open")
}

// TestAttemptsUpAtTheSameInstant checks that of two attempts that connect at the same
// instant one wins and the other is closed.
func TestAttemptsUpAtTheSameInstant(t *testing.T) {
	run := runFakes(t, attempts{}, 0,
		fakeAttempt{takes: time.Second, ignoresCancel: true},
		fakeAttempt{takes: time.Second, ignoresCancel: true},
	)
	require.NotEqual(t, noWinner, run.won)
	assert.False(t, run.records[run.won].discarded.Load())
	assert.True(t, run.records[1-run.won].discarded.Load())
}

func TestAttemptsAllFail(t *testing.T) {
	run := runFakes(t, attempts{delay: time.Second}, 0,
		fakeAttempt{takes: 5 * time.Second, err: errDown},
		fakeAttempt{takes: 0, err: os.ErrDeadlineExceeded},
	)
	assert.Equal(t, []error{errDown, os.ErrDeadlineExceeded}, run.errs)
	assert.Equal(t, noWinner, run.won)
	assert.Equal(t, 5*time.Second, run.took, "the loop waits for attempts that run")
}

func TestAttemptsFinalError(t *testing.T) {
	t.Run("of the first", func(t *testing.T) {
		run := runFakes(t, attempts{delay: time.Second}, 0,
			fakeAttempt{takes: 2500 * time.Millisecond, err: errFinal, final: true},
			fakeAttempt{takes: never},
			fakeAttempt{takes: never, ignoresCancel: true},
			fakeAttempt{takes: 0},
		)
		assert.Equal(t, errFinal, run.err, "the error is not wrapped")
		assert.Empty(t, run.errs)
		assert.Equal(t, 2500*time.Millisecond, run.took)
		require.ErrorIs(t, run.records[1].cancelled, context.Canceled)
		assert.True(t, run.records[2].discarded.Load(), "a later connection must be closed")
		assert.EqualValues(t, noStart, run.records[3].started)
	})
	t.Run("of a later one", func(t *testing.T) {
		run := runFakes(t, attempts{delay: time.Second}, 0,
			fakeAttempt{takes: 5 * time.Second},
			fakeAttempt{takes: 0, err: errFinal, final: true},
			fakeAttempt{takes: never},
		)
		require.NoError(t, run.err)
		assert.Equal(t, 0, run.won, "earlier attempts go on")
		assert.Equal(t, time.Second, run.records[2].started, "the next attempt starts")
	})
}

func TestAttemptsContext(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		run := runFakes(t, attempts{delay: 2 * time.Second}, 3*time.Second, fakeAttempt{takes: never}, fakeAttempt{takes: never}, fakeAttempt{takes: 0})
		assert.Equal(t, []error{context.DeadlineExceeded, context.DeadlineExceeded, errNotStarted}, run.errs)
		assert.Equal(t, 3*time.Second, run.took)
		assert.EqualValues(t, noStart, run.records[2].started)
	})
	t.Run("a failure after the deadline starts nothing", func(t *testing.T) {
		run := runFakes(t, attempts{delay: never}, time.Second, fakeAttempt{takes: 2 * time.Second, err: errDown, ignoresCancel: true}, fakeAttempt{})
		assert.Equal(t, []error{errDown, errNotStarted}, run.errs)
		assert.Equal(t, 2*time.Second, run.took, "the loop waits for attempts that run")
	})
	t.Run("the delay after the deadline starts nothing", func(t *testing.T) {
		run := runFakes(t, attempts{delay: 2 * time.Second}, time.Second, fakeAttempt{takes: 3 * time.Second, err: errDown, ignoresCancel: true}, fakeAttempt{})
		assert.Equal(t, []error{errDown, errNotStarted}, run.errs)
	})
	t.Run("an attempt that fails before the context's own timer fires", func(t *testing.T) {
		ran := 0
		a := attempts{count: 2, delay: time.Hour}
		a.try = func(context.Context, int, string, func()) outcome {
			ran++
			return outcome{err: os.ErrDeadlineExceeded}
		}
		_, errs := a.run(late{t.Context()})
		assert.Equal(t, []error{os.ErrDeadlineExceeded, errNotStarted}, errs)
		assert.Equal(t, 1, ran)
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ran := 0
		a := attempts{count: 3}
		a.try = func(ctx context.Context, _ int, _ string, hasSocket func()) outcome {
			ran++
			hasSocket()
			return outcome{err: ctx.Err()}
		}
		_, errs := a.run(ctx)
		assert.Equal(t, []error{context.Canceled, errNotStarted, errNotStarted}, errs)
		assert.Equal(t, 1, ran, "only the first runs, for its error")
	})
}

// late is a context whose deadline has passed but whose Done channel is still open.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now(), true }

func TestAttemptsError(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for name, tt := range map[string]struct {
		errs    []error
		text    string
		timeout bool
	}{
		"one timed out":  {[]error{errDown, timeout}, "down; dial: i/o timeout", true},
		"none timed out": {[]error{errDown, errNotStarted}, "down; not started", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := opError("dial", "tcp", "192.0.2.1:22", &attemptsError{tt.errs})
			require.EqualError(t, err, "dial tcp 192.0.2.1:22: "+tt.text)
			ne, ok := err.(net.Error)
			require.True(t, ok)
			assert.Equal(t, tt.timeout, ne.Timeout())
			assert.Equal(t, tt.timeout, err.(interface{ Temporary() bool }).Temporary())
			for _, inner := range tt.errs {
				require.ErrorIs(t, err, inner)
			}
		})
	}
}
