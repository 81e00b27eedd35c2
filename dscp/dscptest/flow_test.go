package dscptest_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// happened is an event without its time.
type happened struct {
	direction dscptest.Direction
	kind      dscptest.EventKind
	mark      dscp.CodePoint
	offset    int64
	bytes     int
}

func happenings(f dscptest.Flow) []happened {
	var h []happened
	for _, e := range f.Events {
		h = append(h, happened{e.Direction, e.Kind, e.DSCP, e.Offset, e.Bytes})
	}
	return h
}

func TestEventsTellArrivals(t *testing.T) {
	const up, down = dscptest.ClientToServer, dscptest.ServerToClient
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo))
		c := dialMarked(t, box.Addr(), dscp.AF21)
		require.NoError(t, ask(c, "hello"))
		require.NoError(t, mark(c, dscp.EF))
		require.NoError(t, ask(c, "you"))
		require.NoError(t, c.CloseWrite())
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err)
		f := eventually(t, box, over)
		assert.Equal(t, []happened{
			{up, dscptest.Data, dscp.AF21, 0, 5},
			{down, dscptest.Data, dscp.DF, 0, 5},
			{up, dscptest.Data, dscp.EF, 5, 3},
			{down, dscptest.Data, dscp.DF, 5, 3},
			{up, dscptest.FIN, dscp.EF, 8, 0},
			{down, dscptest.FIN, dscp.DF, 8, 0},
		}, happenings(f))
		for i := 1; i < len(f.Events); i++ {
			assert.False(t, f.Events[i].At.Before(f.Events[i-1].At))
		}
	})
}

// TestEventsKeepFirstAndLast keeps the first and the last of many.
func TestEventsKeepFirstAndLast(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo))
		c := dial(t, box.Addr())
		for range 100 {
			require.NoError(t, ask(c, "x"))
		}
		f := eventually(t, box, func(f dscptest.Flow) bool { return f.ServerBytes == 100 })
		require.Len(t, f.Events, 80)
		assert.EqualValues(t, 31, f.Events[63].Offset)
		assert.EqualValues(t, 92, f.Events[64].Offset)
		assert.EqualValues(t, 99, f.Events[79].Offset)
	})
}
