package dscptest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
)

// TestReflectedTOS has servers answer with the mark of the SYN and keep it: an
// unmarked listener is no sign of an unmarked connection then.
func TestReflectedTOS(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.VMware, dscptest.FlowKey)
			for _, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.EF} {
				c := dialMarked(t, box.Addr(), cp)
				require.NoError(t, ask(c, "hello"))
				require.NoError(t, ask(c, "again"))
			}
			for i, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.EF} {
				f := box.Flows()[i]
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				assert.Equal(t, cp, f.SYN)
				assert.Equal(t, cp, f.SYNACK)
			}
		})
	}
}

// TestSYNCookies has the kernel save no SYN: the box reads the mark of what
// comes next, and its hole still takes what it should.
func TestSYNCookies(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_syncookies", "2")
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.VMware, dscptest.DropMarked(dscp.EF))
			timesOut(t, box.Addr(), dscp.EF)
			c := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(c, "hello"))
			f := eventually(t, box, func(dscptest.Flow) bool { return true })
			assert.Equal(t, dscp.AF21, f.SYN)
			require.NoError(t, mark(c, dscp.CS1))
			err := ask(c, "again")
			assert.True(t, broken(c, err), "%v", err)
		})
	}
}
