package kernel

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// FuzzParseDiag parses any bytes, and compares the result with a second parser of the
// attributes.
func FuzzParseDiag(f *testing.F) {
	r := newDiagRequest(netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("127.0.0.1:40000"))
	answer := func(attributes ...byte) []byte {
		b := make([]byte, 16+diagReplyLen)
		binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
		b[17] = 1
		copy(b[20:], r[24:28])
		b = append(b, attributes...)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		return b
	}
	f.Add(answer(5, 0, diagTOS, 0, 0x48, 0, 0, 0))
	f.Add(answer(8, 0, 1, 0, 1, 2, 3, 4, 5, 0, diagTClass, 0, 0x20, 0, 0, 0, 5, 0, diagTOS, 0, 0xb8))
	f.Add(answer(5, 0, diagTOS, 0, 1, 0, 0, 0, 5, 0, diagTOS, 0, 2, 0, 0, 0))
	f.Add(answer(4, 0, diagTOS, 0, 0x48, 0, 0, 0))
	f.Add(answer(255, 255, diagTOS, 0, 0x48, 0, 0, 0))
	f.Add(answer()[:20])
	refusal := answer()
	binary.NativeEndian.PutUint16(refusal[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(refusal[16:], ^uint32(unix.ENOENT)+1)
	f.Add(refusal)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 16 {
			t.Skip("receive returns no less")
		}
		a, err := parseDiag(b, &r)
		length := int(binary.NativeEndian.Uint32(b))
		if length >= 16 && length < len(b) {
			b = b[:length]
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			require.Error(t, err)
			var errno unix.Errno
			require.True(t, errors.As(err, &errno))
			return
		}
		if len(b) < 16+diagReplyLen || string(b[20:24]) != string(r[24:28]) {
			require.Error(t, err, "of another socket")
			return
		}
		require.NoError(t, err)
		want := diagAnswer{
			state: b[17], cookie: binary.NativeEndian.Uint64(b[60:]),
			bound: bound{family: b[16], device: binary.NativeEndian.Uint32(b[56:])},
		}
		copy(want.bound.address[:], b[24:])
		for at := 16 + diagReplyLen; at+4 < len(b); {
			size := int(binary.NativeEndian.Uint16(b[at:]))
			if size <= 4 || at+size > len(b) {
				break
			}
			switch binary.NativeEndian.Uint16(b[at+2:]) {
			case diagTOS:
				want.tos, want.hasTOS = b[at+4], true
			case diagTClass:
				want.class, want.hasClass = b[at+4], true
			}
			at += (size + 3) / 4 * 4
		}
		require.Equal(t, want, a)
	})
}
