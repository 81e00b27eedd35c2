package dscptest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestRewrittenMarkIsForwarded chains two boxes: the second records what the first sends.
func TestRewrittenMarkIsForwarded(t *testing.T) {
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
