package dscptest

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"

	"github.com/godscp/godscp/dscp"
)

// passes reports whether a filter takes a packet.
func passes(t *testing.T, filter []bpf.Instruction, packet []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(filter)
	require.NoError(t, err)
	n, err := vm.Run(packet)
	require.NoError(t, err)
	return n > 0
}

// TestFilters runs the filters over what is a box's business and what is not.
func TestFilters(t *testing.T) {
	t.Parallel()
	clients, upstream := toBox(false, 5000), fromUpstream(false, netip.MustParseAddrPort("127.1.0.9:80"))
	for _, tt := range []struct {
		from, to         string
		client, upstream bool
	}{
		{"127.1.0.9:80", "127.0.0.1:9", false, true},
		{"127.1.0.8:80", "127.0.0.1:9", false, false},
		{"127.1.0.9:81", "127.0.0.1:9", false, false},
		{"10.0.0.1:9", "127.0.0.1:5000", true, false},
		{"10.0.0.1:9", "127.0.0.2:5000", false, false},
		{"127.1.0.8:80", "127.0.0.1:5000", true, false},
	} {
		f, d := netip.MustParseAddrPort(tt.from), netip.MustParseAddrPort(tt.to)
		b := aSegment(f.Port(), 0x10, 1, 0, dscp.DF)
		copy(b[12:], f.Addr().AsSlice())
		copy(b[16:], d.Addr().AsSlice())
		b[22], b[23] = byte(d.Port()>>8), byte(d.Port())
		assert.Equal(t, tt.client, passes(t, clients, b), "%s to %s", tt.from, tt.to)
		assert.Equal(t, tt.upstream, passes(t, upstream, b), "%s to %s", tt.from, tt.to)
		b[9] = 17
		assert.False(t, passes(t, clients, b) || passes(t, upstream, b), "UDP")
	}
}
