package dscp

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAcceptSkipsConnsThatWereReset accepts two conns that cannot be pinned, because the
// peer has reset them, before one that can.
func TestAcceptSkipsConnsThatWereReset(t *testing.T) {
	t.Parallel()
	for _, why := range []error{unix.ECONNRESET, unix.EINVAL} {
		accepted, pinned := 0, new(Conn)
		got, err := acceptPinned(
			func() (*net.TCPConn, error) { accepted++; return new(net.TCPConn), nil },
			func(*net.TCPConn) (*Conn, error) {
				if accepted < 3 {
					return nil, new(pin).opError("pin", os.NewSyscallError("getsockopt", why))
				}
				return pinned, nil
			})
		require.NoError(t, err)
		assert.Same(t, pinned, got)
		assert.Equal(t, 3, accepted)
	}
	_, err := acceptPinned(
		func() (*net.TCPConn, error) { return new(net.TCPConn), nil },
		func(*net.TCPConn) (*Conn, error) { return nil, unix.EBADF })
	require.ErrorIs(t, err, unix.EBADF, "any other failure is returned")
}
