package dscp

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// requireHost skips a test on a system that cannot mark.
func requireHost(t *testing.T) {
	t.Helper()
	if tos.Host.Unmarkable != "" {
		t.Skipf("%s cannot mark: %s", tos.Host.OS, tos.Host.Unmarkable)
	}
}

// loopbacks returns the addresses that tests listen on.
func loopbacks(t *testing.T) []string {
	t.Helper()
	addrs := []string{"127.0.0.1:0"}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 on loopback: %v", err)
		return addrs
	}
	require.NoError(t, l.Close())
	return append(addrs, "[::1]:0")
}

// pair returns both ends of a connection through l.
func pair(t *testing.T, d *Dialer, l net.Listener) (client, server *Conn) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return c.(*Conn), s.(*Conn)
}

func listenOn(t *testing.T, lc *ListenConfig, address string) net.Listener {
	t.Helper()
	if !lc.AllowUnmarked && (lc.DSCP != DF || lc.NetListenConfig != nil) {
		trial.Need(t, trial.Inherited)
	}
	l, err := lc.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// onUnmarkableHost makes the package behave as on a system that cannot mark, until the
// test ends. It must not run in parallel with tests that mark.
func onUnmarkableHost(t *testing.T) { onHost(t, "windows") }

// onHost makes the package behave as on goos, until the test ends.
func onHost(t *testing.T, goos string) {
	real := tos.Host
	tos.Host = tos.PlatformOf(goos)
	t.Cleanup(func() { tos.Host = real })
}

// A rawTCPConn is a TCPConn whose SyscallConn returns raw.
type rawTCPConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c rawTCPConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }
