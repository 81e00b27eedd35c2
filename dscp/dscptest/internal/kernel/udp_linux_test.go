package kernel

import (
	"encoding/binary"
	"net"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/tos"
)

// FuzzControlMessages parses any bytes, and what tos.AppendControl writes.
func FuzzControlMessages(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		o, other := (&linuxKernel{v6: v6}).option(), (&linuxKernel{v6: !v6}).option()
		f.Add(tos.AppendControl(nil, o, 0x4a), v6, uint8(0x4a))
		f.Add(tos.AppendControl(tos.AppendControl(nil, other, 1), o, 2), v6, uint8(0))
		f.Add(tos.AppendControl(nil, o, 0x4a)[:unix.CmsgLen(1)], v6, uint8(0xff))
		f.Add([]byte{1, 2, 3}, v6, uint8(0))
	}
	f.Fuzz(func(t *testing.T, oob []byte, v6 bool, octet uint8) {
		o := (&linuxKernel{v6: v6}).option()
		oob = slices.Clip(oob) // so that reading behind it is noticed
		got, ok := tos.ReceivedOctet(oob)
		// Walk the messages as the kernel does, with package unix.
		var want uint8
		var found bool
		for at := 0; at+unix.CmsgLen(0) <= len(oob) && !found; {
			size := binary.NativeEndian.Uint64(append(slices.Clone(oob[at:]), make([]byte, 8)...))
			if unix.SizeofCmsghdr == 12 {
				size = uint64(binary.NativeEndian.Uint32(oob[at:]))
			}
			if size < unix.SizeofCmsghdr || size > uint64(len(oob)-at) {
				break
			}
			ms, err := unix.ParseSocketControlMessage(oob[at : at+int(size)])
			require.NoError(t, err)
			want, found = octetOf(ms[0])
			at += unix.CmsgSpace(int(size) - unix.CmsgLen(0))
		}
		require.Equal(t, found, ok)
		if found {
			require.Equal(t, want, got)
		}

		written := tos.AppendControl(nil, o, octet)
		require.Len(t, written, unix.CmsgSpace(4))
		back, ok := tos.ReceivedOctet(written)
		require.True(t, ok)
		require.Equal(t, octet, back)
		require.Equal(t, slices.Concat(oob, written), tos.AppendControl(oob, o, octet))
	})
}

// octetOf returns the octet of a message, if it has one.
func octetOf(m unix.SocketControlMessage) (uint8, bool) {
	type header struct{ level, typ int32 }
	switch (header{m.Header.Level, m.Header.Type}) {
	case header{unix.IPPROTO_IP, unix.IP_TOS}, header{unix.IPPROTO_IP, unix.IP_RECVTOS},
		header{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}, header{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}:
	default:
		return 0, false
	}
	if len(m.Data) >= 4 {
		v := int32(binary.NativeEndian.Uint32(m.Data))
		return uint8(v), v >= -1 && v <= 255
	}
	if len(m.Data) > 0 {
		return m.Data[0], true
	}
	return 0, false
}

// TestUDPSocketFindsOwner has one socket have a port, then none, and then another.
func TestUDPSocketFindsOwner(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		opened, err := Open(address[0] == '[')
		require.NoError(t, err)
		defer opened.Close()
		k := opened.(*linuxKernel)
		remote, err := net.ListenPacket("udp", address)
		require.NoError(t, err)
		defer remote.Close()
		other := AddrPort(remote.LocalAddr())
		_, ok := k.UDPSocket(other, other)
		require.False(t, ok, "before TryUDP")
		network := map[bool]string{true: "udp4", false: "udp6"}[other.Addr().Is4()]
		require.NoError(t, k.TryUDP(network, dscp.AF21))

		var ids []uint64
		local := address
		for range 2 {
			c, err := net.ListenPacket("udp", local)
			require.NoError(t, err)
			local = c.LocalAddr().String()
			for range 2 {
				s, ok := k.UDPSocket(AddrPort(c.LocalAddr()), other)
				require.True(t, ok)
				require.Zero(t, s.Queued)
				ids = append(ids, s.ID)
			}
			_, err = remote.WriteTo([]byte("unread"), c.LocalAddr())
			require.NoError(t, err)
			s, _ := k.UDPSocket(AddrPort(c.LocalAddr()), other)
			require.NotZero(t, s.Queued)
			require.NoError(t, c.Close())
			s, ok := k.UDPSocket(AddrPort(c.LocalAddr()), other)
			require.True(t, ok)
			require.Zero(t, s.ID)
		}
		require.NotZero(t, ids[0])
		require.Equal(t, []uint64{ids[0], ids[0], ids[2], ids[2]}, ids)
		require.NotEqual(t, ids[0], ids[2])
	}
}

// TestTrialDatagramIsSentAgain has loopback lose every other datagram, the first one
// included, and then all.
func TestTrialDatagramIsSentAgain(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Require(t, "nft")
	here := testns.Current(t)
	here.Input("table inet loss { chain input { type filter hook input priority 0; meta l4proto udp numgen inc mod 2 == 0 drop; }; }", "nft", "-f", "-")
	for _, network := range []string{"udp4", "udp6"} {
		k, err := Open(network == "udp6")
		require.NoError(t, err)
		defer k.Close()
		require.NoError(t, k.TryUDP(network, dscp.AF21))
	}
	here.Input("table inet silence { chain input { type filter hook input priority 0; meta l4proto udp drop; }; }", "nft", "-f", "-")
	k, err := Open(false)
	require.NoError(t, err)
	defer k.Close()
	err = k.TryUDP("udp4", dscp.AF21)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, err, "no trial datagram arrived within 5s: read udp4 127.0.0.1:")
}

// TestArrivalIsReadAmongOthers finds the time among other control messages.
func TestArrivalIsReadAmongOthers(t *testing.T) {
	t.Parallel()
	want := unix.Timespec{Sec: 1_800_000_000, Nsec: 123}
	size := int(unsafe.Sizeof(want))
	b := make([]byte, unix.CmsgSpace(size))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.SetLen(unix.CmsgLen(size))
	h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS
	copy(b[unix.CmsgLen(0):], unsafe.Slice((*byte)(unsafe.Pointer(&want)), size))
	k := &linuxKernel{}
	at, ok := arrived(tos.AppendControl(b, tos.IPv4TOS, 0x48))
	require.True(t, ok)
	require.True(t, at.Equal(time.Unix(want.Unix())), "%v", at)
	at, ok = arrived(append(tos.AppendControl(nil, tos.IPv4TOS, 0x48), b...))
	require.True(t, ok)
	require.True(t, at.Equal(time.Unix(want.Unix())), "%v", at)
	for _, oob := range [][]byte{nil, tos.AppendControl(nil, tos.IPv4TOS, 1), b[:unix.CmsgLen(size)-1], {1, 2, 3}} {
		_, ok = arrived(oob)
		require.False(t, ok)
	}
	_, ok = k.Arrived(b)
	require.False(t, ok, "before TryUDP")
}
