package dscptest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest"
)

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config dscptest.Config
		want   string
	}{
		{"no upstream", dscptest.Config{}, "no upstream"},
		{"no port", dscptest.Config{Upstream: "127.0.0.1"}, `upstream "127.0.0.1"`},
		{"port 0", dscptest.Config{Upstream: "127.0.0.1:0"}, "host and port are needed"},
		{"no host", dscptest.Config{Upstream: ":22"}, "host and port are needed"},
		{"unresolvable", dscptest.Config{Upstream: "nowhere.invalid:22"}, `upstream "nowhere.invalid:22"`},
		{"side", dscptest.Config{Upstream: "127.0.0.1:22", Inside: 7}, "Config.Inside is 7"},
		{"delay", dscptest.Config{Upstream: "127.0.0.1:22", Delay: -1}, "Config.Delay is negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			box, err := tt.config.Start()
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, box)
		})
	}
}

func TestNilTB(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "dscptest: NewMiddlebox needs a testing.TB; programs use Start", func() {
		dscptest.NewMiddlebox(nil, "127.0.0.1:22")
	})
}

// TestSensor holds the sensors to their words.
func TestSensor(t *testing.T) {
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
