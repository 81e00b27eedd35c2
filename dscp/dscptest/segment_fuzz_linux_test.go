package dscptest

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/wire"
)

// FuzzParseSegment holds parseSegment to the other parser of this module, and the
// capture's filters to what parseSegment sees.
func FuzzParseSegment(f *testing.F) {
	f.Add(aSegment(1, flagSYN, 1, 0, dscp.EF), uint16(0), true)
	f.Add(aSegment(2, 0x10, 1, 20, dscp.EF), uint16(0), false)
	f.Add(aSegment6(dscp.AF21), uint16(9), false)
	f.Add(aSegment6(dscp.AF21), uint16(9), true)
	f.Add([]byte{0x60}, uint16(0), false)
	f.Fuzz(func(t *testing.T, b []byte, port uint16, behind bool) {
		s, ok := parseSegment(b)
		p, wireOK := wire.Parse(b, len(b)+1<<16)
		if wireOK && p.Proto == wire.TCP && lengthField(b) != 0 {
			require.True(t, ok, "%v", p)
			require.Equal(t, p, wire.Packet{
				Proto: wire.TCP, Src: s.route.from, Dst: s.route.to, TOS: s.mark.TOS() | p.ECN(),
				Flags: wire.Flags(s.flags) & 0x1f, Seq: s.seq, Ack: p.Ack, Len: s.payload,
			})
		}
		if !ok {
			return
		}
		require.True(t, s.payload >= 0 && s.mark <= 63)
		require.Equal(t, s.route.from.Addr().Is4(), s.route.to.Addr().Is4())

		v6 := s.route.from.Addr().Is6()
		own := netip.AddrPortFrom(ownAddr(v6), port)
		upstream := netip.AddrPortFrom(s.route.to.Addr(), port)
		if behind {
			upstream = s.route.from
		}
		if upstream.Addr().Is4In6() || upstream.Addr().IsUnspecified() {
			return // no upstream is written so, or it stands for loopback
		}
		fragment := !v6 && (b[6]&0x1f != 0 || b[7] != 0)
		require.Equal(t, !fragment && s.route.to == own, passes(t, toBox(v6, port), b), "%v, box %v", s.route, own)
		require.Equal(t, !fragment && s.route.from == upstream, passes(t, fromUpstream(v6, upstream), b), "%v, upstream %v", s.route, upstream)
	})
}

// FuzzTaps has segments come in any order, from several connections at once.
func FuzzTaps(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x01\x12\x00\x10\x01\x05\x12\x00\x10\x06\x05\x2e"))
	f.Add([]byte("\x01\x02\xff\x00\x00\x01\x10\x03\xff\x2e\x01\x04\x00\x00\x00\x01\x02\x07\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		c := &capture{taps: make(map[route]*tap)}
		first := map[route]dscp.CodePoint{}
		for ; len(script) >= 5; script = script[5:] {
			port, flags, cp := uint16(script[0]&3), script[1], dscp.CodePoint(script[4]&63)
			seq := uint32(int32(int8(script[2]))) << (script[0] >> 4 * 4) // wraps now and then
			b := aSegment(port, flags, seq, int(script[3]), cp)
			known := c.taps[routeOf(port)]
			c.take(b)
			tap := c.taps[routeOf(port)]
			if tap != known {
				require.NotZero(t, flags&flagSYN, "only a SYN begins a tap")
				first[routeOf(port)] = cp
			}
			if known != nil && flags&(flagSYN|flagRST) == 0 {
				require.Equal(t, cp, known.mark, "the latest mark")
			}
		}
		require.LessOrEqual(t, len(c.begun), maxBegun)
		for r, tap := range c.taps {
			require.Equal(t, first[r], tap.first)
			require.LessOrEqual(t, len(tap.news), maxChanges)
			was := tap.first
			for _, s := range tap.news {
				require.NotEqual(t, was, s.mark, "no change")
				require.True(t, s.from == s.to && s.from >= 0 && s.to <= tap.end)
				was = s.mark
			}
			if len(tap.news) < maxChanges {
				require.Equal(t, tap.mark, was)
			}
		}
	})
}

// aSegment6 returns a SYN over IPv6 from [::1]:1 to [::1]:9.
func aSegment6(cp dscp.CodePoint) []byte {
	b := make([]byte, 60)
	b[0], b[1] = 0x60|cp.TOS()>>4, cp.TOS()<<4
	b[5], b[6], b[23], b[39] = 20, 6, 1, 1
	b[41], b[43], b[52], b[53] = 1, 9, 5<<4, flagSYN
	return b
}

// lengthField returns what an IP header says of lengths: 0 is a super-segment's.
func lengthField(b []byte) int {
	at := 2
	if b[0]>>4 == 6 {
		at = 4
	}
	return int(b[at])<<8 | int(b[at+1])
}
