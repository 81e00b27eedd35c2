// Package packet reads TCP segments and UDP datagrams off the wire: a parser of
// their headers, and on Linux the ring into which the kernel captures them.
package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/godscp/godscp/internal/tos"
)

// The transport protocols that a [Packet] can carry.
const (
	TCP uint8 = 6
	UDP uint8 = 17
)

// Flags are the flags of a TCP segment.
type Flags uint8

// The flags of RFC 9293, section 3.1.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

func (f Flags) String() string {
	s := ""
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if f&(1<<i) != 0 {
			s += "," + name
		}
	}
	if s == "" {
		return "-"
	}
	return s[1:]
}

// A Packet holds what the headers of a TCP segment or UDP datagram over IPv4 or IPv6
// say. If the sender or the receiver offloads segmentation, one Packet may be several
// segments with the same mark.
type Packet struct {
	Proto    uint8 // TCP or UDP
	Src, Dst netip.AddrPort
	TOS      uint8  // the TOS or Traffic Class octet, ECN included
	Flags    Flags  // TCP only
	Seq, Ack uint32 // TCP only
	Len      int    // of the payload
	Fragment bool   // the first of several fragments; Len is that of this fragment
}

// DSCP returns the upper six bits of p.TOS.
func (p Packet) DSCP() uint8 { return p.TOS >> 2 }

// ECN returns the lower two bits of p.TOS.
func (p Packet) ECN() uint8 { return p.TOS & 3 }

// Has reports whether all of the flags are set.
func (p Packet) Has(f Flags) bool { return p.Flags&f == f }

func (p Packet) String() string {
	if p.Proto == UDP {
		return fmt.Sprintf("%v > %v tos 0x%02x UDP len %d", p.Src, p.Dst, p.TOS, p.Len)
	}
	return fmt.Sprintf("%v > %v tos 0x%02x %v seq %d ack %d len %d", p.Src, p.Dst, p.TOS, p.Flags, p.Seq, p.Ack, p.Len)
}

// Ownerless reports whether p is a reset with which a kernel answers a segment of
// a connection whose socket is gone (RFC 9293, section 3.10.7.1). Linux gives it the
// mark of that segment, which is the other side's, so no program chose it. A reset
// that a socket sends has the flag ACK, and so does one that refuses a SYN.
func (p Packet) Ownerless() bool { return p.Has(RST) && !p.Has(ACK) }

// SnapLength is the number of octets that hold the headers of every packet that
// [Parse] understands: IPv4 and TCP with all of their options, or IPv6 with a
// jumbo payload option and TCP.
const SnapLength = 60 + 60

// Parse reads a packet that begins with its IP header. b may be cut off after the
// headers; n is the length of the whole packet. Parse returns false for anything but
// a TCP segment or UDP datagram: for other protocols, fragments without ports,
// inconsistent headers, and IPv6 extension headers other than the one with the length
// of a super-segment above 64 KiB (BIG TCP; RFC 2675).
func Parse(b []byte, n int) (Packet, bool) {
	octet, ok := tos.HeaderOctet(b)
	if !ok || n < len(b) {
		return Packet{}, false
	}
	if b[0]>>4 == 4 {
		return parse4(b, n, octet)
	}
	return parse6(b, n, octet)
}

func parse4(b []byte, n int, octet uint8) (Packet, bool) {
	if len(b) < 20 {
		return Packet{}, false
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = n // a super-segment above 64 KiB (BIG TCP) has the length 0
	}
	const moreFragments, offset = 0x2000, 0x1fff
	fragment := binary.BigEndian.Uint16(b[6:])
	if header < 20 || header > len(b) || total < header || total > n || fragment&offset != 0 {
		return Packet{}, false
	}
	p := Packet{Proto: b[9], TOS: octet, Fragment: fragment&moreFragments != 0}
	src, dst := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return p, p.transport(src, dst, b[header:], total-header)
}

func parse6(b []byte, n int, octet uint8) (Packet, bool) {
	const header = 40
	if len(b) < header {
		return Packet{}, false
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	if payload == 0 {
		payload = n - header // likewise
	}
	if payload > n-header {
		return Packet{}, false
	}
	p := Packet{Proto: b[6], TOS: octet}
	src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	rest := b[header:]
	if p.Proto == hopByHop {
		jumbo, ok := jumboPayload(rest)
		if !ok || binary.BigEndian.Uint16(b[4:]) != 0 || jumbo > payload {
			return Packet{}, false
		}
		p.Proto, payload, rest = rest[0], jumbo-jumboHeader, rest[jumboHeader:]
	}
	return p, p.transport(src, dst, rest, payload)
}

// The protocol number of the IPv6 header with hop-by-hop options, and its length if a
// jumbo payload is its only option.
const (
	hopByHop    = 0
	jumboHeader = 8
)

// jumboPayload returns the length in a header of hop-by-hop options whose only option
// is a jumbo payload. The length includes that header.
func jumboPayload(b []byte) (int, bool) {
	const jumbo, size = 0xc2, 4
	if len(b) < jumboHeader || b[1] != 0 || b[2] != jumbo || b[3] != size {
		return 0, false
	}
	n := binary.BigEndian.Uint32(b[4:])
	return int(n), n > 0xffff && n <= 1<<30
}

// transport reads the TCP or UDP header at b into p; n is the length of header
// and payload.
func (p *Packet) transport(src, dst netip.Addr, b []byte, n int) bool {
	header := 8
	switch p.Proto {
	case TCP:
		if len(b) < 20 {
			return false
		}
		header = int(b[12]>>4) * 4
		if header < 20 {
			return false
		}
		p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		p.Flags = Flags(b[13]) & (FIN | SYN | RST | PSH | ACK)
	case UDP:
	default:
		return false
	}
	if len(b) < header || n < header {
		return false
	}
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	p.Len = n - header
	return true
}
