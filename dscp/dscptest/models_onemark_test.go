package dscptest_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestOneMarkFailsTest runs a program that marks after connect. The box forwards
// everything, so the program works, and its test fails.
func TestOneMarkFailsTest(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		r := &recorder{TB: t}
		box := dscptest.NewMiddlebox(r, serve(t, address, echo), dscptest.OneMark)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.AF21))
		require.NoError(t, ask(c, "after"), "the box forwards it")
		require.NoError(t, c.CloseWrite())
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err)

		good := dialMarked(t, box.Addr(), dscp.AF21)
		require.NoError(t, ask(good, "one mark"))

		r.finish()
		require.Len(t, r.errors, 1, "one flow of two")
		assert.Contains(t, r.errors[0], "OneMark: the client's mark went from DF to AF21")
		assert.Contains(t, r.errors[0], "client→server: DF → AF21")
		assert.Contains(t, r.errors[0], c.LocalAddr().String())
	})
}

// TestOneMarkReportsBeforeReset has a second model reset the flow that OneMark reports.
func TestOneMarkReportsBeforeReset(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		r := &recorder{TB: t}
		box := dscptest.NewMiddlebox(r, serve(t, address, echo), dscptest.OneMark, dscptest.VMware)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.AF21))
		ask(c, "after")
		r.finish()
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], "OneMark: the client's mark went from DF to AF21")
		assert.Equal(t, dscptest.Reset, box.Flows()[0].Verdict)
	})
}

// TestOneMarkJudgesServer has the server change its mark. Before, the two sides keep
// different marks, which is correct.
func TestOneMarkJudgesServer(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		r := &recorder{TB: t}
		box := dscptest.NewMiddlebox(r, serveMarked(t, address, dscp.CS1, echo), dscptest.OneMark)
		c := dialMarked(t, box.Addr(), dscp.EF)
		require.NoError(t, ask(c, "each its own"))
		r.finish()
		assert.Empty(t, r.errors)

		r = &recorder{TB: t}
		box = dscptest.NewMiddlebox(r, serve(t, address, func(c net.Conn) {
			mark(c, dscp.CS1)
			echo(c)
		}), dscptest.OneMark)
		c = dial(t, box.Addr())
		require.NoError(t, ask(c, "hello"))
		r.finish()
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], "server→client: DF → CS1")
	})
}
