package dscptest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestRewritersOnTheWire chains two boxes: the second one's record is what the
// first one sent.
func TestRewritersOnTheWire(t *testing.T) {
	tests := []struct {
		name          string
		models        []dscptest.Model
		client, later dscp.CodePoint
		want, after   dscp.CodePoint // at the second box
	}{
		{"nothing", nil, dscp.AF21, dscp.CS1, dscp.AF21, dscp.CS1},
		{"Bleach", []dscptest.Model{dscptest.Bleach}, dscp.AF21, dscp.CS1, dscp.DF, dscp.DF},
		{"BleachToSPrecedence", []dscptest.Model{dscptest.BleachToSPrecedence}, dscp.EF, dscp.AF42, 6, 4},
		{"Remark", []dscptest.Model{dscptest.Remark(dscp.CS1)}, dscp.DF, dscp.EF, dscp.CS1, dscp.CS1},
		{"in order", []dscptest.Model{dscptest.Remark(dscp.EF), dscptest.BleachLow}, dscp.AF21, dscp.AF21, dscp.CS5, dscp.CS5},
	}
	eachFamily(t, func(t *testing.T, address string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				second := dscptest.NewMiddlebox(t, serve(t, address, echo))
				first := dscptest.NewMiddlebox(t, second.Addr(), tt.models...)
				c := dialMarked(t, first.Addr(), tt.client)
				require.NoError(t, ask(c, "before"))
				if tt.later != tt.client {
					require.NoError(t, mark(c, tt.later))
				}
				require.NoError(t, ask(c, "after"))
				f := eventually(t, second, func(dscptest.Flow) bool { return true })
				assert.Equal(t, tt.want, f.SYN)
				if tt.want == tt.after {
					assert.Empty(t, f.Changes)
					return
				}
				require.Len(t, f.Changes, 1, "%v", f)
				assert.Equal(t, tt.after, f.Changes[0].To)
			})
		}
	})
}

// TestChainedBoxes puts a box that bleaches before one that breaks: what the
// second never sees it cannot break on. A server with a mark of its own must
// look the same through any number of boxes.
func TestChainedBoxes(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		vmware := dscptest.NewMiddlebox(t, serveMarked(t, address, dscp.AF41, echo), dscptest.VMware, dscptest.FlowKey)
		between := dscptest.NewMiddlebox(t, vmware.Addr(), dscptest.FlowKey)
		bleach := dscptest.Config{
			Upstream: between.Addr(), Models: []dscptest.Model{dscptest.Bleach}, Inside: dscptest.Client,
		}.NewMiddlebox(t)
		front := dscptest.NewMiddlebox(t, bleach.Addr(), dscptest.OneMark)

		c := dial(t, bleach.Addr())
		for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.EF} {
			require.NoError(t, mark(c, cp))
			require.NoError(t, ask(c, "still here"))
		}
		require.NoError(t, ask(dialMarked(t, front.Addr(), dscp.EF), "hello"))
		for _, box := range []*dscptest.Middlebox{vmware, between} {
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				assert.Equal(t, dscp.AF41, f.SYNACK)
			}
		}
	})
}

// TestMarksReachTheServer looks at what the box sends from the other side.
func TestMarksReachTheServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		lc := dscp.ListenConfig{}
		l, err := lc.Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		defer l.Close()
		box := dscptest.NewMiddlebox(t, l.Addr().String())
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		c := dialMarked(t, box.Addr(), dscp.AF21)
		s := <-accepted
		require.NotNil(t, s)
		defer s.Close()
		defer c.Close()
		cp, ok := s.(*dscp.Conn).PeerDSCP()
		assert.True(t, ok)
		assert.Equal(t, dscp.AF21, cp)
	})
}
