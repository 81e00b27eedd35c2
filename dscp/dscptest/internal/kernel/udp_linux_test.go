package kernel

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// FuzzControlMessages reads what no kernel may have written, and what AppendOctet
// writes.
func FuzzControlMessages(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		k, other := &linuxKernel{v6: v6}, &linuxKernel{v6: !v6}
		f.Add(k.AppendOctet(nil, 0x4a), v6, uint8(0x4a))
		f.Add(k.AppendOctet(other.AppendOctet(nil, 1), 2), v6, uint8(0))
		f.Add(k.AppendOctet(nil, 0x4a)[:unix.CmsgLen(1)], v6, uint8(0xff))
		f.Add([]byte{1, 2, 3}, v6, uint8(0))
	}
	f.Fuzz(func(t *testing.T, oob []byte, v6 bool, octet uint8) {
		k := &linuxKernel{v6: v6}
		oob = slices.Clip(oob) // nothing behind it may be read
		got, ok := tos.ReceivedOctet(oob)
		// The kernel's own walk, by package unix, up to where that finds an end.
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

		written := k.AppendOctet(nil, octet)
		require.Len(t, written, unix.CmsgSpace(4))
		back, ok := tos.ReceivedOctet(written)
		require.True(t, ok)
		require.Equal(t, octet, back)
		require.Equal(t, slices.Concat(oob, written), k.AppendOctet(oob, octet))
	})
}

// octetOf returns the octet of a message that tells one.
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
