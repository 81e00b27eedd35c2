package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dialer"
)

// A runner is one attempt of a race in a synctest bubble: it takes some time
// and comes up, or fails with err. A deaf one does not listen to its context.
type runner struct {
	takes time.Duration
	err   error
	deaf  bool
}

// What has become of a runner.
type record struct {
	started   time.Duration // since the race began
	cancelled bool
	closed    atomic.Bool
}

func (r *record) Close() error {
	r.closed.Store(true)
	return nil
}

const (
	never      = time.Hour // longer than any race here
	notStarted = -1
)

var (
	errDown    = errors.New("down")
	errRefused = errors.New("refused")
)

// race runs the runners and returns when all of their goroutines have ended;
// synctest fails the test if one does not.
func race(t *testing.T, timeout, delay time.Duration, runners ...runner) (records []*record, winner int, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		begin := time.Now()
		var attempts []func(context.Context) (io.Closer, error)
		for _, r := range runners {
			rec := &record{started: notStarted}
			records = append(records, rec)
			attempts = append(attempts, func(ctx context.Context) (io.Closer, error) {
				rec.started = time.Since(begin)
				done := ctx.Done()
				if r.deaf {
					done = nil
				}
				select {
				case <-time.After(r.takes):
				case <-done:
					rec.cancelled = true
					return nil, context.Cause(ctx)
				}
				if r.err != nil {
					return nil, r.err
				}
				return rec, nil
			})
		}
		var conn io.Closer
		conn, winner, err = dialer.Race(ctx, delay, attempts...)
		took = time.Since(begin)
		if err == nil {
			assert.Same(t, records[winner], conn)
		} else {
			assert.Nil(t, conn)
		}
		// The clock of the bubble goes on only while this goroutine lives, and
		// deaf runners need it to come to their end.
		time.Sleep(2 * never)
	})
	return records, winner, took, err
}

func TestRaceStarts(t *testing.T) {
	const s = time.Second
	up := func(d time.Duration) runner { return runner{takes: d} }
	down := func(d time.Duration) runner { return runner{takes: d, err: errDown} }
	for name, tt := range map[string]struct {
		delay   time.Duration
		runners []runner
		starts  []time.Duration
		winner  int
		took    time.Duration
	}{
		"the first alone, if it comes up before the delay": {2 * s, []runner{up(s), up(0)}, []time.Duration{0, notStarted}, 0, s},
		"staggered": {2 * s, []runner{up(never), up(never), up(s)}, []time.Duration{0, 2 * s, 4 * s}, 2, 5 * s},
		"the first still wins after others have started": {2 * s, []runner{up(5 * s), up(never), up(never)}, []time.Duration{0, 2 * s, 4 * s}, 0, 5 * s},
		"at once after a failure":                        {2 * s, []runner{down(s), up(s)}, []time.Duration{0, s}, 1, 2 * s},
		"the delay counts anew after a failure":          {2 * s, []runner{down(s), up(never), up(s)}, []time.Duration{0, s, 3 * s}, 2, 4 * s},
		"an older failure does not hurry the next":       {2 * s, []runner{down(3 * s), up(never), up(s)}, []time.Duration{0, 2 * s, 4 * s}, 2, 5 * s},
		"failures all the way":                           {2 * s, []runner{down(0), down(0), up(0)}, []time.Duration{0, 0, 0}, 2, 0},
		"the last started fails, an older one wins":      {2 * s, []runner{up(5 * s), down(s)}, []time.Duration{0, 2 * s}, 0, 5 * s},
		"without a delay all at once":                    {0, []runner{up(2 * s), up(s), up(3 * s)}, []time.Duration{0, 0, 0}, 1, s},
		"a negative delay waits for failures":            {-1, []runner{down(9 * s), up(9 * s), up(0)}, []time.Duration{0, 9 * s, notStarted}, 1, 18 * s},
		"one attempt":                                    {2 * s, []runner{up(9 * s)}, []time.Duration{0}, 0, 9 * s},
	} {
		t.Run(name, func(t *testing.T) {
			records, winner, took, err := race(t, 0, tt.delay, tt.runners...)
			require.NoError(t, err)
			assert.Equal(t, tt.winner, winner)
			assert.Equal(t, tt.took, took)
			for i, rec := range records {
				assert.Equal(t, tt.starts[i], rec.started, "start of %d", i)
				assert.False(t, rec.closed.Load(), "%d closed", i)
			}
		})
	}
}

func TestRaceCancelsAndClosesLosers(t *testing.T) {
	records, winner, _, err := race(t, 0, time.Second,
		runner{takes: never},
		runner{takes: never, deaf: true}, // comes up long after the race
		runner{takes: never, deaf: true, err: errDown},
		runner{takes: time.Second},
	)
	require.NoError(t, err)
	assert.Equal(t, 3, winner)
	assert.True(t, records[0].cancelled)
	assert.True(t, records[1].closed.Load(), "a late success must be closed")
	assert.False(t, records[2].closed.Load())
	assert.False(t, records[3].closed.Load(), "the winner must stay open")
}

// Two that come up at the same instant: one wins, the other is closed.
func TestRaceDeadHeat(t *testing.T) {
	records, winner, _, err := race(t, 0, 0, runner{takes: time.Second, deaf: true}, runner{takes: time.Second, deaf: true})
	require.NoError(t, err)
	assert.False(t, records[winner].closed.Load())
	assert.True(t, records[1-winner].closed.Load())
}

func TestRaceAllFail(t *testing.T) {
	_, winner, took, err := race(t, 0, time.Second,
		runner{takes: 5 * time.Second, err: errDown},
		runner{takes: 0, err: os.ErrDeadlineExceeded},
	)
	re, ok := errors.AsType[*dialer.RaceError](err)
	require.True(t, ok)
	assert.Equal(t, []error{errDown, os.ErrDeadlineExceeded}, re.Errs)
	assert.Equal(t, -1, winner)
	assert.Equal(t, 5*time.Second, took)
	assert.EqualError(t, err, "down; i/o timeout")
	require.ErrorIs(t, err, errDown)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestRaceStop(t *testing.T) {
	records, _, took, err := race(t, 0, time.Second,
		runner{takes: never},
		runner{takes: 1500 * time.Millisecond, err: dialer.Stop(errRefused)}, // not at the instant the third starts
		runner{takes: never, deaf: true},
		runner{takes: 0},
	)
	require.ErrorIs(t, err, errRefused)
	require.EqualError(t, err, "given up; refused; given up; not started")
	assert.NotErrorIs(t, err, context.Canceled, "the caller has cancelled nothing")
	assert.Equal(t, 2500*time.Millisecond, took)
	assert.True(t, records[0].cancelled)
	assert.True(t, records[2].closed.Load(), "a success after Stop must be closed")
	assert.EqualValues(t, notStarted, records[3].started)

	re, _ := errors.AsType[*dialer.RaceError](err)
	assert.Equal(t, errRefused, re.Errs[1], "the error itself, not what Stop wrapped it in")
}

func TestRaceContext(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		records, _, took, err := race(t, 3*time.Second, 2*time.Second, runner{takes: never}, runner{takes: never}, runner{takes: 0})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, took)
		assert.True(t, records[0].cancelled)
		assert.True(t, records[1].cancelled)
		assert.EqualValues(t, notStarted, records[2].started)
		assert.EqualError(t, err, "context deadline exceeded; context deadline exceeded; not started")
	})
	t.Run("a failure after the deadline starts nothing", func(t *testing.T) {
		records, _, _, err := race(t, time.Second, -1, runner{takes: 2 * time.Second, err: errDown, deaf: true}, runner{})
		require.ErrorIs(t, err, errDown)
		assert.EqualValues(t, notStarted, records[1].started)
	})
	t.Run("the delay after the deadline starts nothing", func(t *testing.T) {
		records, _, _, err := race(t, time.Second, 2*time.Second, runner{takes: 3 * time.Second, err: errDown, deaf: true}, runner{})
		require.ErrorIs(t, err, errDown)
		assert.EqualValues(t, notStarted, records[1].started)
	})
	t.Run("an attempt that is ahead of the context's own timer", func(t *testing.T) {
		ran := 0
		attempt := func(context.Context) (io.Closer, error) {
			ran++
			return nil, os.ErrDeadlineExceeded
		}
		_, _, err := dialer.Race(late{t.Context()}, time.Hour, attempt, attempt)
		require.EqualError(t, err, "i/o timeout; not started")
		assert.Equal(t, 1, ran)
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ran := 0
		attempt := func(ctx context.Context) (io.Closer, error) {
			ran++
			return nil, ctx.Err()
		}
		_, _, err := dialer.Race(ctx, 0, attempt, attempt, attempt)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 1, ran, "only the first, for its error")
	})
}

// late is a context whose deadline has passed and which has not ended yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now(), true }

func TestRaceNothing(t *testing.T) {
	_, winner, err := dialer.Race[net.Conn](t.Context(), time.Second)
	require.EqualError(t, err, "dialer: no attempt to make")
	assert.Equal(t, -1, winner)
}

func TestStopNil(t *testing.T) {
	require.NoError(t, dialer.Stop(nil))
	require.ErrorIs(t, dialer.Stop(io.EOF), io.EOF)
	require.EqualError(t, dialer.Stop(io.EOF), "EOF")
}

func TestRaceErrorTimeout(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for name, tt := range map[string]struct {
		runners []runner
		want    bool
	}{
		"one timed out":           {[]runner{{err: errDown}, {err: timeout}}, true},
		"none timed out":          {[]runner{{err: errDown}, {err: errDown}}, false},
		"stopped after a timeout": {[]runner{{err: timeout}, {err: dialer.Stop(errRefused)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := race(t, 0, time.Second, tt.runners...)
			ne, ok := errors.AsType[net.Error](err)
			require.True(t, ok)
			assert.IsType(t, (*dialer.RaceError)(nil), ne)
			assert.Equal(t, tt.want, ne.Timeout())
		})
	}
}

// The first of several servers that answers, each asked half a second after the
// one before.
func ExampleRace() {
	ctx := context.Background()
	var attempts []func(context.Context) (net.Conn, error)
	for _, address := range []string{"a.example.com:853", "b.example.com:853"} {
		attempts = append(attempts, func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		})
	}
	conn, i, err := dialer.Race(ctx, 500*time.Millisecond, attempts...)
	if err != nil {
		return // tells what became of each
	}
	defer conn.Close()
	_ = i // which one it is
}
