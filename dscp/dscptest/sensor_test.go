package dscptest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestSensorIsBestAvailable starts boxes with each sensor and with the default.
func TestSensorIsBestAvailable(t *testing.T) {
	t.Parallel()
	for address, unprivileged := range map[string]dscptest.Sensor{
		"127.0.0.1:0": dscptest.SocketOption,
		"[::1]:0":     dscptest.WireLatest,
	} {
		srv := serve(t, address, echo)
		box := dscptest.Config{Upstream: srv, Sensor: unprivileged}.NewMiddlebox(t)
		assert.Equal(t, unprivileged, box.Sensor())

		box, err := dscptest.Config{Upstream: srv, Sensor: dscptest.WireEvery}.Start()
		best := dscptest.NewMiddlebox(t, srv).Sensor()
		if err != nil {
			assert.ErrorIs(t, err, errors.ErrUnsupported)
			assert.Equal(t, unprivileged, best)
			continue
		}
		assert.Equal(t, dscptest.WireEvery, box.Sensor())
		assert.Equal(t, dscptest.WireEvery, best)
		require.NoError(t, box.Close())
	}
	_, err := dscptest.Config{Upstream: "127.0.0.1:22", Sensor: dscptest.WireLatest}.Start()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = dscptest.Config{Upstream: "127.0.0.1:22", Sensor: "a crystal ball"}.Start()
	require.ErrorContains(t, err, "a crystal ball")
}

// TestPinnedConnIsNotBlamed tries to change the mark of a pinned connection in every way
// that the connection refuses, while it is in use. The box must see one mark.
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
