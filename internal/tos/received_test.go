package tos

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/testns"
)

// TestReceiveOptions checks the options for every system.
func TestReceiveOptions(t *testing.T) {
	t.Parallel()
	const neither = "neither"
	type want struct {
		v4, v6, dual string // the options, or neither
	}
	full := want{"IP_TOS", "IPV6_TCLASS", "IPV6_TCLASS IP_TOS"}
	separate := want{"IP_TOS", "IPV6_TCLASS", neither}
	only6 := want{neither, "IPV6_TCLASS", neither}
	nothing := want{neither, neither, neither}
	for goos, want := range map[string]want{
		"linux": full, "android": full, "solaris": full, "illumos": full,
		"darwin": separate, "ios": separate, "freebsd": separate,
		"netbsd": only6, "openbsd": only6, "dragonfly": only6, "aix": only6,
		"windows": nothing, "plan9": nothing, "js": nothing, "wasip1": nothing, "unheard-of": nothing,
	} {
		for _, tt := range []struct {
			name, network, address string
			v6only                 bool
			want                   string
		}{
			{"IPv4", "udp4", "192.0.2.1:53", false, want.v4},
			{"IPv4 wildcard", "udp4", "0.0.0.0:53", false, want.v4},
			{"IPv6", "udp6", "[2001:db8::1]:53", false, want.v6},
			{"IPv6-only wildcard", "udp6", "[::]:53", true, want.v6},
			{"dual-stack wildcard", "udp6", "[::]:53", false, want.dual},
		} {
			t.Run(goos+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				opts, err := PlatformOf(goos).ReceiveOptions(tt.network, PeersOf(tt.address), func() (bool, error) { return tt.v6only, nil })
				if tt.want != neither {
					require.NoError(t, err)
					var names []string
					for _, o := range opts {
						names = append(names, o.String())
					}
					assert.Equal(t, tt.want, strings.Join(names, " "))
					return
				}
				require.ErrorIs(t, err, errors.ErrUnsupported)
				var missing *MissingError
				require.ErrorAs(t, err, &missing)
				assert.Contains(t, missing.Option, "RECV")
			})
		}
	}
	boom := errors.New("boom")
	_, err := PlatformOf("linux").ReceiveOptions("udp6", AnyPeers, func() (bool, error) { return false, boom })
	require.ErrorIs(t, err, boom)
}

// TestReceivedOctetOfEachSystem parses the control messages of each system.
func TestReceivedOctetOfEachSystem(t *testing.T) {
	t.Parallel()
	octet, class := []byte{0x4a}, make([]byte, 4)
	binary.NativeEndian.PutUint32(class, 0x4a)
	for _, tt := range []struct {
		goos       string
		level, typ int
		data       []byte
		ok         bool
	}{
		{"linux", 0, 1, octet, true},
		{"linux", 41, 67, class, true},
		{"linux", 41, 1, class, false},
		{"linux", 0, 67, class, false},
		{"linux", 0, 8, class, false}, // IP_PKTINFO
		{"linux", 0, 1, nil, false},
		{"darwin", 0, 27, octet, true}, // IP_RECVTOS
		{"darwin", 41, 36, class, true},
		{"freebsd", 0, 68, octet, true},
		{"freebsd", 41, 61, class, true},
		{"solaris", 0, 12, octet, true},
		{"solaris", 41, 38, class, true},
		{"openbsd", 41, 61, class, true},
		{"openbsd", 0, 3, octet, false}, // has no such report
		{"openbsd", 0, 0, octet, false},
		{"aix", 41, 43, class, true},
		{"windows", 0, 0, octet, false},
	} {
		got, ok := PlatformOf(tt.goos).receivedOctet(tt.level, tt.typ, tt.data)
		assert.Equal(t, tt.ok, ok, "%+v", tt)
		if ok {
			assert.Equal(t, uint8(0x4a), got, "%+v", tt)
		}
	}
}

// TestReceiveOptionNumbers compares the numbers with those of golang.org/x/sys, which come
// from each system's headers.
func TestReceiveOptionNumbers(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		testns.Lacks(t, "no source of x/sys: %v", err)
	}
	for file, goos := range map[string]string{
		"linux": "linux", "darwin_arm64": "darwin", "freebsd_amd64": "freebsd", "dragonfly_amd64": "dragonfly",
		"netbsd_amd64": "netbsd", "openbsd_amd64": "openbsd", "solaris_amd64": "solaris", "aix_ppc64": "aix",
	} {
		src, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "zerrors_"+file+".go"))
		require.NoError(t, err)
		number := func(name string) int {
			m := regexp.MustCompile(`(?m)^\s+` + name + `\s+= (\w+)$`).FindSubmatch(src)
			if m == nil {
				return 0
			}
			n, err := strconv.ParseInt(string(m[1]), 0, 0)
			require.NoError(t, err)
			return int(n)
		}
		assert.Equal(t, [2]ReceiveOption{
			{"IP_RECVTOS", number("IP_RECVTOS"), number("IP_TOS")},
			{"IPV6_RECVTCLASS", number("IPV6_RECVTCLASS"), number("IPV6_TCLASS")},
		}, receiveOptionsOf(goos), goos)
	}
	assert.Equal(t, receiveOptionsOf("linux"), receiveOptionsOf("android"))
	assert.Equal(t, receiveOptionsOf("darwin"), receiveOptionsOf("ios"))
	assert.Equal(t, receiveOptionsOf("solaris"), receiveOptionsOf("illumos"))
}
