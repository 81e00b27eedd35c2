package tos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// FuzzSavedSYN cuts headers at their first zero byte, as GetsockoptString does, and
// compares the octet with that which x/net reads from the whole header.
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

// TestReadReflects reads the values of the sysctl, a sysctl that does not exist, and one
// that cannot be read.
func TestReadReflects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for value, want := range map[string]bool{"1\n": true, "0\n": false, "": false, "2\n": false} {
		file := filepath.Join(dir, "tcp_reflect_tos")
		require.NoError(t, os.WriteFile(file, []byte(value), 0o600))
		got, err := readReflects(file)
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", value)
	}
	got, err := readReflects(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.False(t, got)
	_, err = readReflects(dir)
	require.ErrorIs(t, err, unix.EISDIR)

	got, err = ReadReflects()
	require.Equal(t, got || err != nil, Reflects())
}
