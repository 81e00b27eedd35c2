package dscptest

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// TestCIFailsOnlyOnLinux is about CI runners with systems on which no box can run.
func TestCIFailsOnlyOnLinux(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", nil, ""},
		{"linux", map[string]string{"CI": "true"}, "CI"},
		{"darwin", map[string]string{"CI": "true"}, ""},
		{"windows", map[string]string{"CI": "1"}, ""},
		{"darwin", map[string]string{"CI": "1", "DSCPTEST_REQUIRE": "1"}, "DSCPTEST_REQUIRE"},
		{"linux", map[string]string{"DSCPTEST_REQUIRE": "1"}, "DSCPTEST_REQUIRE"},
	} {
		assert.Equal(t, tt.want, mustRun(tt.goos, func(name string) string { return tt.env[name] }), "%v", tt)
	}
}

// A misdirected kernel gives the SYN of a trial to the wrong listener.
type misdirected struct{ kernel.Kernel }

func (misdirected) Try(*net.TCPListener, string, dscp.CodePoint) error { return os.ErrDeadlineExceeded }

// TestMisdirectedSYNIsUnsupported checks that a box which drops SYNs returns an
// UnsupportedError if the SYN of its trial does not reach it.
func TestMisdirectedSYNIsUnsupported(t *testing.T) {
	t.Parallel()
	b := &Middlebox{kernel: misdirected{}, network: "tcp6", dropped: 1 << dscp.EF, config: Config{Sensor: SocketOption}}
	err := b.try()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, err, "a SYN marked AF21 did not reach the box")
	b.dropped = 0
	require.NotErrorIs(t, b.try(), errors.ErrUnsupported, "the machine may be slow")
}
