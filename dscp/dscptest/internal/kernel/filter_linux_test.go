package kernel

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
)

// passes reports whether a filter accepts a packet.
func passes(t *testing.T, filter []bpf.Instruction, packet []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(filter)
	require.NoError(t, err)
	n, err := vm.Run(packet)
	require.NoError(t, err)
	return n > 0
}

// TestFiltersTakeOwnSegments runs the filters on segments of a box and on others.
func TestFiltersTakeOwnSegments(t *testing.T) {
	t.Parallel()
	clients, upstream := toMiddlebox(false, 5000), fromUpstream(false, netip.MustParseAddrPort("127.1.0.9:80"))
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

// FuzzFilters compares the capture's filters with the parser.
func FuzzFilters(f *testing.F) {
	f.Add(aSegment(1, byte(packet.SYN), 1, 0, dscp.EF), uint16(0), true)
	f.Add(aSegment(2, 0x10, 1, 20, dscp.EF), uint16(0), false)
	f.Add(aSegment6(dscp.AF21), uint16(9), false)
	f.Add(aSegment6(dscp.AF21), uint16(9), true)
	f.Add(aJumboSegment6(dscp.AF21), uint16(9), false)
	f.Add(aJumboSegment6(dscp.AF21), uint16(9), true)
	f.Add([]byte{0x60}, uint16(0), false)
	f.Fuzz(func(t *testing.T, b []byte, port uint16, behind bool) {
		p, ok := packet.Parse(b, len(b)+1<<16)
		if !ok || p.Proto != packet.TCP {
			return
		}
		require.Equal(t, p.Src.Addr().Is4(), p.Dst.Addr().Is4())

		v6 := p.Src.Addr().Is6()
		own := netip.AddrPortFrom(loopback(v6), port)
		upstream := netip.AddrPortFrom(p.Dst.Addr(), port)
		if behind {
			upstream = p.Src
		}
		if upstream.Addr().Is4In6() || upstream.Addr().IsUnspecified() {
			return // not an upstream address, or one that means loopback
		}
		require.Equal(t, p.Dst == own, passes(t, toMiddlebox(v6, port), b), "%v, middlebox %v", p, own)
		require.Equal(t, p.Src == upstream, passes(t, fromUpstream(v6, upstream), b), "%v, upstream %v", p, upstream)
	})
}

// aJumboSegment6 is aSegment6 with a jumbo payload.
func aJumboSegment6(cp dscp.CodePoint) []byte {
	b := aSegment6(cp)
	b[4], b[5], b[6] = 0, 0, 0
	return slices.Insert(b, 40, 6, 0, 0xc2, 4, 0, 1, 0, 20)
}

// aSegment6 returns a SYN over IPv6 from [::1]:1 to [::1]:9.
func aSegment6(cp dscp.CodePoint) []byte {
	b := make([]byte, 60)
	b[0], b[1] = 0x60|cp.TOS()>>4, cp.TOS()<<4
	b[5], b[6], b[23], b[39] = 20, 6, 1, 1
	b[41], b[43], b[52], b[53] = 1, 9, 5<<4, byte(packet.SYN)
	return b
}
