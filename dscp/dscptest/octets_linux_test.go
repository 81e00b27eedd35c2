package dscptest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// octets returns a function that has c tell octets, and one that receives a
// datagram and returns its octet.
func octets(t testing.TB, c *net.UDPConn) (tell func() error, next func() int) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	level, option := unix.IPPROTO_IP, unix.IP_RECVTOS
	if c.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS
	}
	tell = func() (err error) {
		if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
			return err
		}
		return err
	}
	return tell, func() int {
		oob := make([]byte, 64)
		_, n, _, _, err := c.ReadMsgUDP(make([]byte, 10), oob)
		require.NoError(t, err)
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		require.NoError(t, err)
		require.Len(t, messages, 1)
		return int(messages[0].Data[0])
	}
}
