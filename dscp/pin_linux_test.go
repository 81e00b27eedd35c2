package dscp

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spoil replaces the descriptor of c by one that is not a socket, so that every option
// fails with ENOTSOCK.
func spoil(t *testing.T, c syscall.Conn) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Dup3(int(null.Fd()), int(fd), unix.O_CLOEXEC) }))
	require.NoError(t, err)
}

// TestUnpinnableConnIsClosed checks that a conn which the caller never gets is closed,
// and that Pin leaves the caller's conn open.
func TestUnpinnableConnIsClosed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pin  func(c *net.TCPConn) (*Conn, error)
		open bool
	}{
		"dialled":      {func(c *net.TCPConn) (*Conn, error) { return pinDialed(c, marking{}) }, false},
		"accepted":     {func(c *net.TCPConn) (*Conn, error) { return pinAccepted(c, marking{}) }, false},
		"given to Pin": {Pin, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
			spoil(t, client.TCPConn)
			conn, err := tt.pin(client.TCPConn)
			require.ErrorIs(t, err, unix.ENOTSOCK)
			assert.Nil(t, conn)
			requireOpen(t, tt.open, client.TCPConn)
		})
	}
	t.Run("UDP", func(t *testing.T) {
		t.Parallel()
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		defer c.Close()
		spoil(t, c)
		conn, err := pinUDPOrClose(c)
		require.ErrorIs(t, err, unix.ENOTSOCK)
		assert.Nil(t, conn)
		requireOpen(t, false, c)
	})
}

func requireOpen(t *testing.T, open bool, c syscall.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	err = raw.Control(func(uintptr) {})
	if open {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestUnreadableMarkIsMarkError checks that pinning a dialled conn returns a MarkError if
// the mark cannot be read back, with or without AllowUnmarked.
func TestUnreadableMarkIsMarkError(t *testing.T) {
	t.Parallel()
	for _, addr := range loopbacks(t) {
		for _, allow := range []bool{false, true} {
			client, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, addr))
			far := client.RemoteAddr().String()
			spoil(t, client.TCPConn)
			_, err := pinDialed(client.TCPConn, marking{AF21, allow})
			m, ok := errors.AsType[*MarkError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, AF21, m.CodePoint)
			assert.Equal(t, client.pin.option.String(), m.Option)
			require.ErrorIs(t, err, unix.ENOTSOCK)
			for _, part := range []string{"pin", far, "AF21"} {
				assert.ErrorContains(t, err, part)
			}
		}
	}
}
