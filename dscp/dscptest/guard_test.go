package dscptest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestPinnedConnIsNotBlamed changes the mark of a pinned connection in every
// way that it refuses, while it is in use. The box must see one mark.
func TestPinnedConnIsNotBlamed(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.VMware, dscptest.FlowKey)
		c, err := (&dscp.Dialer{DSCP: dscp.AF21}).DialContext(context.Background(), "tcp", box.Addr())
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		for range 300 {
			require.ErrorIs(t, c.(*dscp.Conn).SetDSCP(dscp.CS1), dscp.ErrMidFlow)
			require.ErrorIs(t, mark(c, dscp.CS1), dscp.ErrMidFlow)
			require.NoError(t, ask(c, "still here"))
		}
		f := eventually(t, box, func(dscptest.Flow) bool { return true })
		assert.Equal(t, dscp.AF21, f.SYN)
		assert.False(t, f.Changed(), "%v", f)
	})
}
