package tos

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMessageOptions checks, for every system, on which sockets single datagrams can be
// marked.
func TestMessageOptions(t *testing.T) {
	t.Parallel()
	type want struct{ v4, v6, dual bool }
	for goos, want := range map[string]want{
		"linux": {true, true, true}, "android": {true, true, true},
		"darwin": {true, true, false}, "ios": {true, true, false}, "freebsd": {true, true, false},
		"netbsd": {false, true, false}, "openbsd": {false, true, false}, "dragonfly": {false, true, false},
		"solaris": {}, "illumos": {}, "aix": {}, "windows": {}, "plan9": {}, "js": {},
	} {
		for _, tt := range []struct {
			network, address string
			can              bool
		}{{"udp4", "192.0.2.1:53", want.v4}, {"udp6", "[2001:db8::1]:53", want.v6}, {"udp6", "[::]:53", want.dual}} {
			opts, err := PlatformOf(goos).MessageOptions(tt.network, PeersOf(tt.address), func() (bool, error) { return false, nil })
			if tt.can {
				require.NoError(t, err, "%s %v", goos, tt)
				assert.NotEmpty(t, opts)
				continue
			}
			require.ErrorIs(t, err, errors.ErrUnsupported, "%s %v", goos, tt)
		}
	}
	boom := errors.New("boom")
	_, err := PlatformOf("linux").MessageOptions("udp6", AnyPeers, func() (bool, error) { return false, boom })
	require.ErrorIs(t, err, boom)
}
