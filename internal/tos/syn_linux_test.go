package tos

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// FuzzSavedSYN cuts headers at their first zero byte, as reading the option does,
// and has x/net read what they were.
func FuzzSavedSYN(f *testing.F) {
	f.Add(append([]byte{0x45, 0x48}, make([]byte, 38)...))
	f.Add(append([]byte{0x45, 0x00, 0x00, 0x3c}, make([]byte, 36)...))
	f.Add(append([]byte{0x6b, 0x8f}, make([]byte, 58)...))
	f.Add(append([]byte{0x60}, make([]byte, 59)...))
	f.Add([]byte{0x55, 1})
	f.Fuzz(func(t *testing.T, header []byte) {
		cut, _, _ := strings.Cut(string(header), "\x00")
		octet, ok := octetOfSYN(cut)
		version := 0
		if len(header) > 0 {
			version = int(header[0] >> 4)
		}
		require.Equal(t, version == 4 || version == 6, ok)
		if h, err := ipv4.ParseHeader(header); version == 4 && err == nil {
			require.Equal(t, h.TOS, int(octet))
		}
		if h, err := ipv6.ParseHeader(header); version == 6 && err == nil {
			require.Equal(t, h.TrafficClass, int(octet))
		}
	})
}
