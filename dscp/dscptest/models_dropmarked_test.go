package dscptest_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestDropMarkedSYN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarked(dscp.AF21, dscp.EF))
		// All 64 at once, so that those that time out do so together.
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
		// The kernel has completed them all; the box may not have accepted them yet.
		assert.Eventually(t, func() bool { return len(box.Flows()) >= 62 }, patience, time.Millisecond)
		assert.Len(t, box.Flows(), 62, "what is dropped leaves no flow")
	})
}

func TestDropMarkedWithoutArguments(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarked())
		timesOut(t, box.Addr(), dscp.LE)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "unmarked"))
	})
}

// TestDropMarkedSilencesLaterMark changes to a dropped mark after the handshake: the
// connection falls silent.
func TestDropMarkedSilencesLaterMark(t *testing.T) {
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

// TestDropMarkedDataAfterHandshake forwards a marked SYN and drops what follows.
func TestDropMarkedDataAfterHandshake(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarkedData(dscp.AF21))
		c := dialMarked(t, box.Addr(), dscp.AF21)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
		require.ErrorIs(t, ask(c, "hello"), os.ErrDeadlineExceeded)
		assert.Equal(t, dscptest.Drop, eventually(t, box, judged).Verdict)
	})
}
