package wire_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/internal/wire"
)

func TestClosed(t *testing.T) {
	a, b, other := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:3")
	to := func(flags wire.Flags, seq, ack uint32, n int) wire.Packet {
		return wire.Packet{Proto: wire.TCP, Src: a, Dst: b, Flags: flags, Seq: seq, Ack: ack, Len: n}
	}
	from := func(flags wire.Flags, seq, ack uint32, n int) wire.Packet {
		return wire.Packet{Proto: wire.TCP, Src: b, Dst: a, Flags: flags, Seq: seq, Ack: ack, Len: n}
	}
	const S, A, F, R = wire.SYN, wire.ACK, wire.FIN, wire.RST
	whole := []wire.Packet{
		to(S, 100, 0, 0), from(S|A, 500, 101, 0), to(A, 101, 501, 0),
		to(A, 101, 501, 9), from(A, 501, 110, 0),
		to(F|A, 110, 501, 0), from(A, 501, 111, 0), from(F|A, 501, 111, 3), to(A, 111, 505, 0),
	}
	for _, tt := range []struct {
		name    string
		n       int
		packets []wire.Packet
		at      int // the packet that ends the last flow; -1: none does
	}{
		{"to the last acknowledgement", 1, whole, 8},
		{"both FINs cross", 1, []wire.Packet{
			to(S, 100, 0, 0), from(S|A, 500, 101, 0), to(A, 101, 501, 0),
			to(F|A, 101, 501, 0), from(F|A, 501, 101, 0), to(A, 102, 502, 0), from(A, 502, 102, 0),
		}, 6},
		{"reset", 1, []wire.Packet{to(S, 100, 0, 0), from(S|A, 500, 101, 0), from(R, 501, 0, 0)}, 2},
		{"refused", 1, []wire.Packet{to(S, 100, 0, 0), from(R|A, 0, 101, 0)}, 1},
		{"a second SYN is the first again", 1, append([]wire.Packet{to(S, 100, 0, 0)}, whole...), 9},
		{"two flows", 2, append(append([]wire.Packet{}, whole...), whole...), 17},
		{"the FIN is acknowledged, its data is not", 1, append(append([]wire.Packet{}, whole[:8]...), to(A, 111, 504, 0)), -1},
		{"half closed", 1, whole[:7], -1},
		{"no SYN", 1, whole[1:], -1},
		{"another flow", 1, []wire.Packet{to(S, 100, 0, 0), {Src: a, Dst: other, Flags: R}}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			closed, at := wire.Closed(tt.n), -1
			for i, p := range tt.packets {
				if closed(p) {
					at = i
					break
				}
			}
			assert.Equal(t, tt.at, at)
		})
	}
}

func TestText(t *testing.T) {
	p := wire.Packet{Proto: wire.UDP, Src: netip.MustParseAddrPort("[::1]:1"), Dst: netip.MustParseAddrPort("[::1]:2"), TOS: 0x48, Len: 3}
	assert.Equal(t, "[::1]:1 > [::1]:2 tos 0x48 UDP len 3\n[::1]:1 > [::1]:2 tos 0x48 UDP len 3\n", wire.Text([]wire.Packet{p, p}))
}
