package tos

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

// TestOptionOnTheWire sets every octet on a bound socket, reads it back, and reads it from
// the datagram that arrives.
func TestOptionOnTheWire(t *testing.T) {
	t.Parallel()
	for o, address := range map[Option]string{IPv4TOS: "127.0.0.1:0", IPv6TClass: "[::1]:0"} {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			pc, err := net.ListenPacket("udp", address)
			if err != nil && o == IPv6TClass {
				t.Skip("no IPv6 on loopback: ", err)
			}
			require.NoError(t, err)
			defer pc.Close()
			c := pc.(*net.UDPConn)
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			r := Host.Receive[o]
			require.NoError(t, SetInt(raw, o.Level(), r.Number, 1))
			asked, err := GetInt(raw, o.Level(), r.Number)
			require.NoError(t, err)
			require.Equal(t, 1, asked)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
			for octet := range 256 {
				require.NoError(t, o.Set(raw, uint8(octet)))
				held, err := o.Get(raw)
				require.NoError(t, err)
				require.Equal(t, uint8(octet), held)
				_, err = c.WriteTo([]byte("x"), c.LocalAddr())
				require.NoError(t, err)
				oob := make([]byte, 64)
				_, n, _, _, err := c.ReadMsgUDP(make([]byte, 8), oob)
				require.NoError(t, err)
				arrived, ok := ReceivedOctet(oob[:n])
				require.True(t, ok)
				require.Equal(t, uint8(octet), arrived)
			}
			_, err = IPv6TClass.Get(raw)
			assert.Equal(t, o == IPv4TOS, IsUnsupported(err), "%v", err)
		})
	}
}

// TestFDInsideAClosure sets and reads an option from within Control.
func TestFDInsideAClosure(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	raw, err := pc.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		require.NoError(t, IPv4TOS.Set(FD(fd), 0x4a))
		octet, err := IPv4TOS.Get(FD(fd))
		require.NoError(t, err)
		assert.Equal(t, uint8(0x4a), octet)
		require.Error(t, FD(fd).Read(func(uintptr) bool { return true }))
		require.Error(t, FD(fd).Write(func(uintptr) bool { return true }))
	}))
}

// TestOptionsOfAClosedSocket checks that the error of the conn reaches the caller.
func TestOptionsOfAClosedSocket(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	raw, err := pc.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)
	_, err = V6Only(raw)
	require.Error(t, err, "an IPv4 socket has no such option")
	require.NoError(t, raw.Control(func(fd uintptr) { // gVisor takes any option
		refused := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, -1, 1)
		require.Equal(t, refused != nil, SetInt(FD(fd), unix.SOL_SOCKET, -1, 1) != nil)
	}))
	require.NoError(t, pc.Close())
	for name, err := range map[string]error{
		"Set":     IPv4TOS.Set(raw, 0x48),
		"Get":     second(IPv4TOS.Get(raw)),
		"SetInt":  SetInt(raw, levelIPv4, unix.IP_TOS, 1),
		"GetInt":  second(GetInt(raw, levelIPv4, unix.IP_TOS)),
		"V6Only":  second(V6Only(raw)),
		"SaveSYN": SaveSYN(raw),
	} {
		require.ErrorIs(t, err, net.ErrClosed, name)
		assert.False(t, IsUnsupported(err), name)
	}
	_, ok := SavedSYN(raw)
	assert.False(t, ok)
	assert.False(t, IsMPTCP(raw))
}

func second[T any](_ T, err error) error { return err }

// savesSYN asks the kernel itself whether it has kept a SYN.
func savesSYN(t *testing.T, l net.Listener) bool {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	raw, err := server.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	header := ""
	require.NoError(t, raw.Control(func(fd uintptr) {
		header, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVED_SYN)
	}))
	return header != ""
}

// TestSavedSYNOfAConnection has the kernel save the SYN of a marked dial.
func TestSavedSYNOfAConnection(t *testing.T) {
	t.Parallel()
	for o, address := range map[Option]string{IPv4TOS: "127.0.0.1:0", IPv6TClass: "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil && o == IPv6TClass {
			continue
		}
		require.NoError(t, err)
		defer l.Close()
		raw, err := l.(*net.TCPListener).SyscallConn()
		require.NoError(t, err)
		if IsMPTCP(raw) { // it saves no SYN
			require.NoError(t, l.Close())
			var lc net.ListenConfig
			lc.SetMultipathTCP(false)
			l, err = lc.Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			defer l.Close()
			raw, err = l.(*net.TCPListener).SyscallConn()
			require.NoError(t, err)
			require.False(t, IsMPTCP(raw))
		}
		require.NoError(t, SaveSYN(raw))
		if !savesSYN(t, l) {
			testns.Lacks(t, "the kernel takes TCP_SAVE_SYN and saves none")
		}
		for _, octet := range []uint8{0x00, 0x48, 0xb8, 0xfc} {
			d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return o.Set(c, octet) }}
			client, err := d.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			server, err := l.Accept()
			require.NoError(t, err)
			defer server.Close()
			accepted, err := server.(*net.TCPConn).SyscallConn()
			require.NoError(t, err)
			got, ok := SavedSYN(accepted)
			assert.True(t, ok)
			assert.Equal(t, octet, got)
			_, ok = SavedSYN(accepted)
			assert.False(t, ok, "the kernel returns it once")
		}
	}
}

func TestMissingErrorIsUnsupported(t *testing.T) {
	t.Parallel()
	err := error(&MissingError{Option: "IP_TOS", Reason: "not here"})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.True(t, IsUnsupported(err))
	assert.EqualError(t, err, "IP_TOS: not here")
	assert.True(t, IsUnsupported(unix.ENOPROTOOPT))
	assert.False(t, IsUnsupported(unix.EPERM))
	assert.False(t, IsUnsupported(nil))
}
