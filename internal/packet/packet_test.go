package packet_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/internal/packet"
)

// tcp is a header with one option word, from port 40000 to 22, and payload.
func tcp(flags packet.Flags, payload string) []byte {
	b := []byte{0x9c, 0x40, 0, 22, 1, 2, 3, 4, 5, 6, 7, 8, 6 << 4, byte(flags), 0xff, 0xff, 0, 0, 0, 0, 1, 1, 1, 0}
	return append(b, payload...)
}

// udp is a header from port 40000 to 22, and payload.
func udp(payload string) []byte {
	return append([]byte{0x9c, 0x40, 0, 22, 0, byte(8 + len(payload)), 0, 0}, payload...)
}

// ip4 is a packet from 192.0.2.1 to 192.0.2.2.
func ip4(tos, proto uint8, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1], b[6], b[8], b[9] = 0x45, tos, 0x40, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	return append(b, payload...)
}

// ip6 is a packet from 2001:db8::1 to 2001:db8::2 with a flow label.
func ip6(class, next uint8, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	binary.BigEndian.PutUint32(b, 6<<28|uint32(class)<<20|0xabcde)
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6], b[7] = next, 64
	copy(b[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	copy(b[24:], netip.MustParseAddr("2001:db8::2").AsSlice())
	return append(b, payload...)
}

// jumbo6 is ip6 with a jumbo payload option.
func jumbo6(class, next uint8, length uint32, payload []byte) []byte {
	option := binary.BigEndian.AppendUint32([]byte{next, 0, 0xc2, 4}, length)
	return set(ip6(class, 0, append(option, payload...)), 4, 0, 0)
}

// set returns b with the octets at i replaced.
func set(b []byte, i int, octets ...byte) []byte {
	copy(b[i:], octets)
	return b
}

func TestParse(t *testing.T) {
	src4, dst4 := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:22")
	src6, dst6 := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:22")
	segment := packet.Packet{Proto: packet.TCP, Src: src4, Dst: dst4, TOS: 0x4a, Seq: 0x01020304, Ack: 0x05060708}
	with := func(p packet.Packet, src, dst netip.AddrPort, flags packet.Flags, n int) packet.Packet {
		p.Src, p.Dst, p.Flags, p.Len = src, dst, flags, n
		return p
	}
	options := append([]byte{0x46, 0x48, 0, 48, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 1, 0}, tcp(packet.SYN, "")...)

	for _, tt := range []struct {
		name string
		b    []byte
		cut  int // octets that the capture cut off
		more int // octets of the packet that are not in b
		want packet.Packet
		text string
	}{
		{
			name: "TCP over IPv4", b: ip4(0x4a, packet.TCP, tcp(packet.SYN|packet.ACK, "")),
			want: with(segment, src4, dst4, packet.SYN|packet.ACK, 0),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x4a SYN,ACK seq 16909060 ack 84281096 len 0",
		}, {
			name: "TCP over IPv6", b: ip6(0x4a, packet.TCP, tcp(packet.FIN|packet.PSH|packet.ACK, "data")),
			want: with(segment, src6, dst6, packet.FIN|packet.PSH|packet.ACK, 4),
			text: "[2001:db8::1]:40000 > [2001:db8::2]:22 tos 0x4a FIN,PSH,ACK seq 16909060 ack 84281096 len 4",
		}, {
			name: "TCP cut after the header", b: ip4(0x4a, packet.TCP, tcp(packet.RST, "data that was not captured")), cut: 26,
			want: with(segment, src4, dst4, packet.RST, 26),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x4a RST seq 16909060 ack 84281096 len 26",
		}, {
			name: "flags that are not listed", b: ip4(0x4a, packet.TCP, tcp(0xe0, "")),
			want: with(segment, src4, dst4, 0, 0),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x4a - seq 16909060 ack 84281096 len 0",
		}, {
			name: "IPv4 options", b: options,
			want: func() packet.Packet { p := with(segment, src4, dst4, packet.SYN, 0); p.TOS = 0x48; return p }(),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x48 SYN seq 16909060 ack 84281096 len 0",
		}, {
			name: "IPv4 of more than 64 KiB", b: set(ip4(0x4a, packet.TCP, tcp(packet.ACK, "data")), 2, 0, 0),
			want: with(segment, src4, dst4, packet.ACK, 4),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x4a ACK seq 16909060 ack 84281096 len 4",
		}, {
			name: "IPv6 of more than 64 KiB", b: set(ip6(0x4a, packet.TCP, tcp(packet.ACK, "data")), 4, 0, 0),
			want: with(segment, src6, dst6, packet.ACK, 4),
			text: "[2001:db8::1]:40000 > [2001:db8::2]:22 tos 0x4a ACK seq 16909060 ack 84281096 len 4",
		}, {
			name: "IPv6 with a jumbo payload", b: jumbo6(0x4a, packet.TCP, 70000, tcp(packet.ACK, "data")), more: 70000 - 8 - 24 - 4,
			want: with(segment, src6, dst6, packet.ACK, 70000-8-24),
			text: "[2001:db8::1]:40000 > [2001:db8::2]:22 tos 0x4a ACK seq 16909060 ack 84281096 len 69968",
		}, {
			name: "Ethernet's padding", b: append(ip4(0x4a, packet.TCP, tcp(packet.ACK, "")), 0, 0),
			want: with(segment, src4, dst4, packet.ACK, 0),
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0x4a ACK seq 16909060 ack 84281096 len 0",
		}, {
			name: "UDP over IPv4", b: ip4(0xb9, packet.UDP, udp("dgram")),
			want: packet.Packet{Proto: packet.UDP, Src: src4, Dst: dst4, TOS: 0xb9, Len: 5},
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0xb9 UDP len 5",
		}, {
			name: "IPv4's first fragment", b: set(ip4(0xb9, packet.UDP, udp("dgram")), 6, 0x20, 0),
			want: packet.Packet{Proto: packet.UDP, Src: src4, Dst: dst4, TOS: 0xb9, Len: 5, Fragment: true},
			text: "192.0.2.1:40000 > 192.0.2.2:22 tos 0xb9 UDP len 5",
		}, {
			name: "UDP over IPv6", b: ip6(0xff, packet.UDP, udp("")),
			want: packet.Packet{Proto: packet.UDP, Src: src6, Dst: dst6, TOS: 0xff},
			text: "[2001:db8::1]:40000 > [2001:db8::2]:22 tos 0xff UDP len 0",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := packet.Parse(tt.b[:len(tt.b)-tt.cut], len(tt.b)+tt.more)
			assert.True(t, ok)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.text, got.String())
			assert.Equal(t, tt.want.TOS>>2, got.DSCP())
			assert.Equal(t, tt.want.TOS&3, got.ECN())
		})
	}
}

func TestParseRefuses(t *testing.T) {
	syn := tcp(packet.SYN, "")
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"another version", set(ip4(0, packet.TCP, syn), 0, 0x55)},
		{"IPv4 cut in its header", ip4(0, packet.TCP, syn)[:19]},
		{"IPv4 cut in TCP's header", ip4(0, packet.TCP, syn)[:39]},
		{"IPv4 with a short header", set(ip4(0, packet.TCP, syn), 0, 0x44)},
		{"IPv4 with a header longer than the packet", set(ip4(0, packet.UDP, nil), 0, 0x46)},
		{"IPv4 longer than the packet", set(ip4(0, packet.TCP, syn), 2, 0xff, 0xff)},
		{"IPv4 shorter than its header", set(ip4(0, packet.TCP, syn), 2, 0, 19)},
		{"IPv4 with no room for TCP", set(ip4(0, packet.TCP, syn), 2, 0, 40)},
		{"IPv4's later fragment", set(ip4(0, packet.UDP, udp("")), 6, 0, 1)},
		{"ICMP", ip4(0, 1, syn)},
		{"TCP with a short header", ip4(0, packet.TCP, set(tcp(packet.SYN, ""), 12, 4<<4))},
		{"UDP cut in its header", ip4(0, packet.UDP, udp("")[:7])},
		{"IPv6 cut in its header", ip6(0, packet.TCP, syn)[:39]},
		{"IPv6 longer than the packet", set(ip6(0, packet.TCP, syn), 4, 0xff, 0xff)},
		{"IPv6 extension header", ip6(0, 0, syn)},
		{"a jumbo payload longer than the packet", jumbo6(0, packet.TCP, 70000, syn)},
		{"a jumbo payload below 64 KiB", jumbo6(0, packet.TCP, 32, syn)},
		{"a jumbo payload beside a payload", set(jumbo6(0, packet.TCP, 70000, syn), 4, 0, 32)},
		{"a jumbo payload cut off", jumbo6(0, packet.TCP, 70000, syn)[:47]},
		{"two hop-by-hop options", set(jumbo6(0, packet.TCP, 70000, syn), 41, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := packet.Parse(tt.b, len(tt.b))
			assert.False(t, ok, "%v", p)
		})
	}
	_, ok := packet.Parse(ip4(0, packet.TCP, syn), 43)
	assert.False(t, ok, "a packet shorter than its capture")
}

// FuzzParse compares Parse with x/net's parsers of the IP headers.
func FuzzParse(f *testing.F) {
	f.Add(ip4(0x48, packet.TCP, tcp(packet.SYN, "")), 0)
	f.Add(ip6(0x20, packet.UDP, udp("dgram")), 1400)
	f.Add(jumbo6(0x20, packet.TCP, 70000, tcp(packet.ACK, "")), 70000)
	f.Fuzz(func(t *testing.T, b []byte, more int) {
		n := len(b) + max(0, min(more, 1<<20))
		p, ok := packet.Parse(b, n)
		if !ok {
			return
		}
		assert.GreaterOrEqual(t, p.Len, 0)
		assert.Less(t, p.Len, n)
		if p.Src.Addr().Is4() {
			h, err := ipv4.ParseHeader(b)
			assert.NoError(t, err)
			assert.Equal(t, []any{h.TOS, h.Protocol, h.Src.String(), h.Dst.String()},
				[]any{int(p.TOS), int(p.Proto), p.Src.Addr().String(), p.Dst.Addr().String()})
			return
		}
		h, err := ipv6.ParseHeader(b)
		assert.NoError(t, err)
		if h.NextHeader == 0 {
			assert.Equal(t, []byte{0, 0xc2, 4}, b[41:44])
			h.NextHeader = int(b[40])
		}
		assert.Equal(t, []any{h.TrafficClass, h.NextHeader, h.Src, h.Dst},
			[]any{int(p.TOS), int(p.Proto), net.IP(p.Src.Addr().AsSlice()), net.IP(p.Dst.Addr().AsSlice())})
	})
}
