package dscptest_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
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

func TestEventsRecordArrivals(t *testing.T) {
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

// TestEventsKeepFirstAndLast makes more events than a flow keeps.
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

// TestStringDescribesRecord checks the one-line descriptions of records.
func TestStringDescribesRecord(t *testing.T) {
	t.Parallel()
	exact := dscptest.Change{From: dscp.DF, To: dscp.AF21, Offset: 21, OffsetMax: 21}
	between := dscptest.Change{Direction: dscptest.ServerToClient, From: dscp.EF, To: dscp.CS1, Offset: 3, OffsetMax: 9}
	f := dscptest.Flow{
		ID: 7, Network: "tcp4", Changes: []dscptest.Change{exact, between},
		Client: netip.MustParseAddrPort("127.0.0.1:40404"), Upstream: netip.MustParseAddrPort("127.0.0.1:22"),
		Verdict: dscptest.Reset, Reason: "VMware: so it is", Err: errors.New("broken"),
	}
	assert.Equal(t, "flow 7, 127.0.0.1:40404 → 127.0.0.1:22: SYN DF; client→server: DF → AF21 at byte 21; "+
		"server→client: EF → CS1 between bytes 3 and 9; reset (VMware: so it is); broken", f.String())
	f = dscptest.Flow{ID: 1, Network: "udp4", Client: f.Client, Upstream: f.Upstream}
	assert.Equal(t, "flow 1, 127.0.0.1:40404 → 127.0.0.1:22: DF; passed", f.String())

	for s, want := range map[fmt.Stringer]string{
		dscptest.Data: "data", dscptest.FIN: "FIN", dscptest.RST: "RST",
		dscptest.Client: "client", dscptest.Server: "server", dscptest.Side(0): "both",
		dscptest.ClientToServer: "client→server", dscptest.ServerToClient: "server→client",
		dscptest.BoxIPv4: "a middlebox for IPv4", dscptest.BoxIPv6: "a middlebox for IPv6",
		dscptest.DropSYN: "dropping SYNs", dscptest.WireEvery: "wire, every segment",
	} {
		assert.Equal(t, want, s.String())
	}
}
