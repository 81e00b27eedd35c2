package tos

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPlatformOptions checks the options for every system, whichever this one is.
func TestPlatformOptions(t *testing.T) {
	t.Parallel()
	v4, v6, both := []Option{IPv4TOS}, []Option{IPv6TClass}, []Option{IPv6TClass, IPv4TOS}
	tests := []struct {
		name    string
		network string
		address string
		v6only  bool
		want    []Option // nil: MissingError, because AF_INET6 has no IP_TOS
	}{
		{"IPv4 dial", "tcp4", "192.0.2.1:22", false, v4},
		{"IPv4 wildcard", "tcp4", "0.0.0.0:22", false, v4},
		{"IPv6 dial", "tcp6", "[2001:db8::1]:22", false, v6},
		{"IPv6 dial with zone", "tcp6", "[fe80::1%eth0]:22", false, v6},
		{"IPv6 listener on one address", "tcp6", "[::1]:22", false, v6},
		{"IPv6-only wildcard", "tcp6", "[::]:22", true, v6},
		{"IPv6-only wildcard, shown as IPv4", "tcp6", "0.0.0.0:22", true, v6},
		{"dual-stack wildcard", "tcp6", "[::]:22", false, nil},
		{"dual-stack wildcard, shown as IPv4", "tcp6", "0.0.0.0:22", false, nil},
		{"dual-stack wildcard, no address", "udp6", "", false, nil},
		{"IPv6 socket to an IPv4 peer", "udp6", "192.0.2.1:53", false, nil},
		{"IPv6 socket to an IPv4-mapped peer", "udp6", "[::ffff:192.0.2.1]:53", false, nil},
		{"raw IPv4", "ip4", "192.0.2.1", false, v4},
		{"raw IPv6", "ip6", "2001:db8::1", false, v6},
		{"raw IPv6 wildcard", "ip6", "::", false, v6},
		{"raw IPv6 wildcard, shown as IPv4", "ip6", "0.0.0.0", false, v6},
		{"raw IPv6, no address", "ip6", "", false, v6},
		{"raw IPv4 wildcard", "ip4", "0.0.0.0", false, v4},
	}
	for goos, mapped := range map[string]bool{
		"linux": true, "android": true, "solaris": true, "illumos": true, "aix": true,
		"darwin": false, "ios": false, "freebsd": false, "netbsd": false, "openbsd": false, "dragonfly": false,
	} {
		for _, tt := range tests {
			t.Run(goos+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				p := PlatformOf(goos)
				require.Empty(t, p.Unmarkable)
				got, err := p.Options(tt.network, PeersOf(tt.address), func() (bool, error) { return tt.v6only, nil })
				switch {
				case tt.want != nil:
					require.NoError(t, err)
					assert.Equal(t, tt.want, got)
				case mapped:
					require.NoError(t, err)
					assert.Equal(t, both, got)
				default:
					require.ErrorIs(t, err, errors.ErrUnsupported)
					var missing *MissingError
					require.ErrorAs(t, err, &missing)
					assert.Equal(t, "IP_TOS", missing.Option)
					assert.ErrorContains(t, err, "tcp4 and tcp6")
				}
			})
		}
	}
}

func TestPlatformV6OnlyFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	_, err := PlatformOf("linux").Options("tcp6", AnyPeers, func() (bool, error) { return false, boom })
	require.ErrorIs(t, err, boom)
}

func TestHostIsThisSystem(t *testing.T) {
	t.Parallel()
	assert.Equal(t, PlatformOf(runtime.GOOS), Host)
}
