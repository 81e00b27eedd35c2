package kernel

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// TestOptionFailureNamesOption sets options that the kernel refuses.
func TestOptionFailureNamesOption(t *testing.T) {
	t.Parallel()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)

	err = setOption(raw, unix.IPPROTO_IP, unix.IP_MINTTL, 256, "IP_MINTTL")
	require.ErrorIs(t, err, unix.EINVAL)
	assert.EqualError(t, err, "setsockopt IP_MINTTL: invalid argument")
	err = (&linuxKernel{v6: true}).SetMark(raw, dscp.EF)
	require.ErrorIs(t, err, unix.ENOPROTOOPT)
	assert.EqualError(t, err, "setsockopt IPV6_TCLASS: protocol not available")

	require.NoError(t, c.Close())
	err = setOption(raw, unix.IPPROTO_IP, unix.IP_MINTTL, 255, "IP_MINTTL")
	require.ErrorIs(t, err, net.ErrClosed)
}
