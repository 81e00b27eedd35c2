package kernel

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// TestClassProbeReadsLatestMark changes the mark of a connection. The probe at the other
// end returns the latest.
func TestClassProbeReadsLatestMark(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp6", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, server.SetDeadline(time.Now().Add(10*time.Second)))
	raw, err := server.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, setOption(raw, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"))
	probe, err := newClassProbe(server.(*net.TCPConn))
	require.NoError(t, err)
	for _, cp := range []dscp.CodePoint{dscp.EF, dscp.CS1, dscp.DF, 63} {
		require.NoError(t, ipv6.NewConn(client).SetTrafficClass(int(cp.TOS())))
		_, err = client.Write([]byte("x"))
		require.NoError(t, err)
		_, err = server.Read(make([]byte, 1))
		require.NoError(t, err)
		got, ok := probe.Mark()
		assert.True(t, ok, "%v", cp)
		assert.Equal(t, cp, got)
	}
}
