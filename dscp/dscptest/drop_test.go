package dscptest_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// connect tries to connect with a marked SYN for as long as given.
func connect(address string, cp dscp.CodePoint, timeout time.Duration) error {
	d := net.Dialer{Timeout: timeout, Control: dscp.Control(cp)}
	c, err := d.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err
}

// timesOut requires that a connection attempt with a mark finds nobody. A SYN
// on loopback is answered at once or not at all.
func timesOut(t testing.TB, address string, cp dscp.CodePoint) {
	t.Helper()
	err := connect(address, cp, silence)
	if assert.Error(t, err, "%v", cp) {
		var e net.Error
		assert.ErrorAs(t, err, &e)
		assert.True(t, e.Timeout(), "%v: %v", cp, err)
	}
}

func TestDropMarkedSYN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarked(dscp.AF21, dscp.EF))
		// All 64 at once, or those that time out take their time in turn.
		var wg sync.WaitGroup
		for cp := range dscp.CodePoint(64) {
			wg.Go(func() {
				if cp == dscp.AF21 || cp == dscp.EF {
					timesOut(t, box.Addr(), cp)
				} else {
					assert.NoError(t, connect(box.Addr(), cp, patience), "%v", cp)
				}
			})
		}
		wg.Wait()
		// The kernel has completed them all; the box may not have got round to that.
		assert.Eventually(t, func() bool { return len(box.Flows()) >= 62 }, patience, time.Millisecond)
		assert.Len(t, box.Flows(), 62, "what is dropped leaves no flow")
	})
}

func TestDropAnyMark(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarked())
		timesOut(t, box.Addr(), dscp.LE)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "unmarked"))
	})
}

// TestDropMarkedLater has connections go silent that take a dropped mark after
// the handshake.
func TestDropMarkedLater(t *testing.T) {
	models := map[string]dscptest.Model{
		"DropMarked":     dscptest.DropMarked(dscp.LowDelay),
		"DropMarkedData": dscptest.DropMarkedData(dscp.LowDelay),
	}
	eachFamily(t, func(t *testing.T, address string) {
		for name, model := range models {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				box := dscptest.NewMiddlebox(t, serve(t, address, echo), model)
				c := dial(t, box.Addr())
				require.NoError(t, ask(c, "password"))
				require.NoError(t, mark(c, dscp.LowDelay))
				require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
				require.ErrorIs(t, ask(c, "shell"), os.ErrDeadlineExceeded)
				f := eventually(t, box, judged)
				assert.Equal(t, dscptest.Drop, f.Verdict)
				assert.Equal(t, name, f.Model)
			})
		}
	})
}

// TestDropMarkedDataFromTheStart lets a marked SYN through and nothing after.
func TestDropMarkedDataFromTheStart(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarkedData(dscp.AF21))
		c := dialMarked(t, box.Addr(), dscp.AF21)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
		require.ErrorIs(t, ask(c, "hello"), os.ErrDeadlineExceeded)
		assert.Equal(t, dscptest.Drop, eventually(t, box, judged).Verdict)
	})
}
