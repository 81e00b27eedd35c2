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

// refuseEF resets what begins with EF.
func refuseEF(s dscptest.Segment) dscptest.Verdict {
	if s.Handshake && s.DSCP == dscp.EF {
		return dscptest.Reset
	}
	return dscptest.Pass
}

// TestResetOfSYN ends a connection as soon as it is up; its server never hears
// of it.
func TestResetOfSYN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, func(net.Conn) {
			t.Error("the server was reached")
		}), refuseEF)
		d := net.Dialer{Timeout: patience, Control: dscp.Control(dscp.EF)}
		c, err := d.Dial("tcp", box.Addr())
		if err == nil { // the reset may be faster than Dial
			defer c.Close()
			_, err = io.Copy(io.Discard, c)
		}
		require.ErrorIs(t, err, errReset)
		f := eventually(t, box, over)
		assert.Equal(t, dscptest.Reset, f.Verdict)
		assert.Equal(t, "refuseEF: the client began with EF", f.Reason)
	})
}
