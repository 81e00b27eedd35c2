package trace

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// Numbers of the headers (RFC 791, 8200, 9293, 768).
const (
	protoTCP = 6
	protoUDP = 17

	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagPSH = 0x08
	flagACK = 0x10

	ttl    = 64
	window = 65535

	// Each side's first sequence number.
	clientISN = 1_000_000
	serverISN = 2_000_000

	// maxPayload is the most payload that a frame carries. One read may have
	// returned many segments, which become few frames.
	maxPayload = 60_000
)

// A frame is one packet as it would be on the wire.
type frame struct {
	packet
	bytes []byte
}

// frames encodes the packets of a flow.
func frames(f dscptest.Flow) []frame {
	e := encoder{flow: f}
	e.sent[dscptest.ClientToServer] = clientISN
	e.sent[dscptest.ServerToClient] = serverISN
	var fs []frame
	for _, p := range packets(f) {
		rest, offset := p.bytes, p.offset
		for {
			n := min(rest, maxPayload)
			part := p
			part.offset, part.bytes = offset, n
			fs = append(fs, frame{part, e.encode(part)})
			rest, offset = rest-n, offset+int64(n)
			if rest == 0 {
				break
			}
			p.note = "" // only the first part has it
		}
	}
	return fs
}

// An encoder makes the headers of one flow's packets.
type encoder struct {
	flow dscptest.Flow
	sent [2]uint32 // the next sequence number of each direction
}

// encode returns the packet as IP would carry it.
func (e *encoder) encode(p packet) []byte {
	src, dst := e.flow.Client, e.flow.Upstream
	if p.direction == dscptest.ServerToClient {
		src, dst = dst, src
	}
	var segment []byte
	proto := uint8(protoTCP)
	if strings.HasPrefix(e.flow.Network, "udp") {
		proto = protoUDP
		segment = udpHeader(src, dst, p.bytes)
	} else {
		segment = e.tcpHeader(p, src, dst)
	}
	segment = append(segment, make([]byte, p.bytes)...)
	at := 16 // the offset of the checksum in a TCP header
	if proto == protoUDP {
		at = 6
	}
	sum := checksum(pseudoHeader(src.Addr(), dst.Addr(), proto, len(segment)), segment)
	if sum == 0 && proto == protoUDP {
		sum = 0xffff // zero means no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(segment[at:], sum)
	return append(ipHeader(src.Addr(), dst.Addr(), proto, p.mark, len(segment)), segment...)
}

// tcpHeader returns the header without its checksum, and updates e.sent.
func (e *encoder) tcpHeader(p packet, src, dst netip.AddrPort) []byte {
	d := p.direction
	isn := uint32(clientISN)
	if d == dscptest.ServerToClient {
		isn = serverISN
	}
	// From the offset, not from what was sent before: a record may leave
	// events out.
	seq := isn + 1 + uint32(p.offset)
	next := seq + uint32(p.bytes)
	flags := byte(flagACK)
	switch p.kind {
	case syn:
		seq, next, flags = isn, isn+1, flagSYN
	case synACK:
		seq, next, flags = isn, isn+1, flagSYN|flagACK
	case data:
		flags |= flagPSH
	case fin:
		next, flags = next+1, flags|flagFIN
	case rst:
		flags |= flagRST
	}
	acked := e.sent[1-d]
	if p.kind == syn {
		acked = 0
	}
	e.sent[d] = max(e.sent[d], next)

	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h[0:], src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], acked)
	h[12] = 5 << 4 // words of header
	h[13] = flags
	binary.BigEndian.PutUint16(h[14:], window)
	return h
}

// udpHeader returns the header without its checksum.
func udpHeader(src, dst netip.AddrPort, payload int) []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h[0:], src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+payload))
	return h
}

// ipHeader returns the header of the addresses' family for a segment of n bytes.
func ipHeader(src, dst netip.Addr, proto uint8, mark dscp.CodePoint, n int) []byte {
	tos := mark.TOS()
	if src.Is4() {
		h := make([]byte, 20)
		h[0], h[1] = 4<<4|5, tos
		binary.BigEndian.PutUint16(h[2:], uint16(20+n))
		binary.BigEndian.PutUint16(h[6:], 1<<14) // don't fragment
		h[8], h[9] = ttl, proto
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], checksum(nil, h))
		return h
	}
	h := make([]byte, 40)
	h[0], h[1] = 6<<4|tos>>4, tos<<4
	binary.BigEndian.PutUint16(h[4:], uint16(n))
	h[6], h[7] = proto, ttl
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return h
}

// pseudoHeader returns the header that the checksum of a segment covers besides the
// segment (RFC 9293, section 3.1; RFC 8200, section 8.1).
func pseudoHeader(src, dst netip.Addr, proto uint8, n int) []byte {
	h := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		return append(h, 0, proto, byte(n>>8), byte(n))
	}
	return append(h, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, proto)
}

// checksum returns the Internet checksum (RFC 1071) of a and b. The length of a must
// be even.
func checksum(a, b []byte) uint16 {
	var sum uint32
	for _, part := range [...][]byte{a, b} {
		for len(part) >= 2 {
			sum += uint32(part[0])<<8 | uint32(part[1])
			part = part[2:]
			sum = sum>>16 + sum&0xffff
		}
		if len(part) == 1 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
