package dscp_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/long"
)

// TestFallbackThroughDropMarked checks that Fallback connects through a middlebox that
// drops marked SYNs, without privilege and on both families, and that the server gets a
// SYN with the mark that won.
func TestFallbackThroughDropMarked(t *testing.T) {
	for name, tt := range map[string]struct {
		lost []dscp.CodePoint
		wins dscp.CodePoint
		nth  int // number of marks tried before it
	}{
		"one mark":   {[]dscp.CodePoint{dscp.AF21}, dscp.LowDelay, 1},
		"two marks":  {[]dscp.CodePoint{dscp.AF21, dscp.LowDelay}, dscp.DF, 2},
		"every mark": {nil, dscp.DF, 2},
		"other mark": {[]dscp.CodePoint{dscp.EF}, dscp.AF21, 0},
	} {
		onLoopbacksOf(t, name, func(t *testing.T, address string, dial func(*dscp.Dialer, context.Context, string) (*dscp.Conn, error)) {
			l := listenSaving(t, address)
			box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.DropMarked(tt.lost...))
			d := dscp.Dialer{
				DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF},
				// A mark that connects has this long before the next one is
				// tried, because a busy machine may stall.
				FallbackDelay: []time.Duration{time.Hour, time.Second, 100 * time.Millisecond}[tt.nth],
			}
			begin := time.Now()
			c, err := dial(&d, t.Context(), box.Addr())
			took := time.Since(begin)
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, tt.wins, c.DSCP())
			assert.GreaterOrEqual(t, took, time.Duration(tt.nth)*d.FallbackDelay)
			assert.Less(t, took, time.Duration(tt.nth)*d.FallbackDelay+10*time.Second) // a busy machine may stall
			t.Logf("connected after %v: %d times FallbackDelay is %v", took, tt.nth, time.Duration(tt.nth)*d.FallbackDelay)

			mark, ok := accept(t, l).PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, tt.wins, mark, "mark of the SYN behind the box")
			require.Len(t, box.Flows(), 1, "flows that the box let through")
		})
	}
}

// onLoopbacksOf runs a test over both families and both ways to dial, all at once.
func onLoopbacksOf(t *testing.T, name string, test func(*testing.T, string, func(*dscp.Dialer, context.Context, string) (*dscp.Conn, error))) {
	run, wait := atOnce(t)
	defer wait()
	for way, dial := range dials {
		for _, address := range loopbacks {
			run(name+" "+way+" "+address, func(t *testing.T) { test(t, address, dial) })
		}
	}
}

// TestFallbackLeavesNothingBehind checks that a dial which is cancelled at any moment
// leaves no goroutine and no descriptor behind.
func TestFallbackLeavesNothingBehind(t *testing.T) {
	l := listenSaving(t, "127.0.0.1:0")
	box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.DropMarked())
	cancelAtAnyMoment(t, l, 7500*time.Microsecond, func(d *dscp.Dialer, ctx context.Context) (*dscp.Conn, error) {
		return dials["DialContext"](d, ctx, box.Addr())
	})
}

// cancelAtAnyMoment dials with Fallback and timeouts from 0 to longest. It accepts the
// conns from l, so that the backlog does not fill, and requires that no goroutine and no
// descriptor is left.
func cancelAtAnyMoment(t *testing.T, l net.Listener, longest time.Duration, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
	t.Helper()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	d := dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}, FallbackDelay: 2 * time.Millisecond}
	before := leftovers(t)
	connected, cancelled := 0, 0
	points := long.N(100, 300)
	for i := range points {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*longest/time.Duration(points))
		c, err := dial(&d, ctx)
		cancel()
		if err == nil {
			connected++
			require.NoError(t, c.Close())
			continue
		}
		cancelled++
		ne, ok := err.(net.Error)
		require.True(t, ok)
		require.True(t, ne.Timeout(), "%v", err)
	}
	t.Logf("%d dials connected, %d were cancelled", connected, cancelled)
	assert.NotZero(t, cancelled)
	requireNothingLeft(t, before)
}
