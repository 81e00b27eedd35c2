package dscptest_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestUDPKeepsECN sends through a rewriter and checks the octet that arrives, ECN bits
// included.
func TestUDPKeepsECN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		for _, ecn := range []int{0, 1, 2, 3} {
			sink, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer sink.Close()
			require.NoError(t, sink.SetDeadline(time.Now().Add(patience)))
			tell, octet := octets(t, sink.(*net.UDPConn))
			require.NoError(t, tell())
			box := dscptest.NewMiddlebox(t, sink.LocalAddr().String(), dscptest.BleachToSPrecedence)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, markUDP(c, dscp.EF, ecn))
			_, err = c.Write([]byte("x"))
			require.NoError(t, err)
			assert.Equal(t, 6<<2|ecn, octet())
		}
	})
}

// octets returns a function that makes c receive octets in control messages, and one that
// receives a datagram and returns its octet.
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
		if data := messages[0].Data; len(data) == 4 { // IPV6_TCLASS is an int, IP_TOS an octet
			return int(binary.NativeEndian.Uint32(data))
		}
		return int(messages[0].Data[0])
	}
}
