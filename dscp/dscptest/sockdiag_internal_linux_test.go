package dscptest

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzParseDiag feeds the parser what no kernel would say.
func FuzzParseDiag(f *testing.F) {
	r := ask(netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("127.0.0.1:40000"))
	good := make([]byte, 16+diagReplyLen, 16+diagReplyLen+8)
	binary.NativeEndian.PutUint16(good[4:], sockDiagByFamily)
	copy(good[20:], r[24:28])
	good = append(good, 5, 0, diagTOS, 0, 0x48, 0, 0, 0)
	binary.NativeEndian.PutUint32(good, uint32(len(good)))
	f.Add(good)
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 16 {
			t.Skip("do reads no less")
		}
		a, err := parseDiag(b, &r)
		if err == nil && binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			t.Errorf("an error message was taken for %+v", a)
		}
	})
}
