package dscptest

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// The flags of a TCP header that matter to a capture.
const (
	flagSYN = 0x02
	flagRST = 0x04
)

// A segment is one TCP segment as captured.
type segment struct {
	route   route
	mark    dscp.CodePoint
	flags   byte
	seq     uint32
	payload int
}

// parseSegment decodes the headers of a TCP segment over IPv4 or IPv6.
func parseSegment(b []byte) (segment, bool) {
	mark, ok := markOf(b)
	if !ok {
		return segment{}, false
	}
	var from, to netip.Addr
	var header, total int
	switch b[0] >> 4 {
	case 4:
		header, total = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if b[9] != unix.IPPROTO_TCP || header < 20 {
			return segment{}, false
		}
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	default:
		if len(b) < 40 || b[6] != unix.IPPROTO_TCP {
			return segment{}, false
		}
		header, total = 40, 40+int(binary.BigEndian.Uint16(b[4:]))
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	}
	if len(b) < header+20 {
		return segment{}, false
	}
	t := b[header:]
	payload := total - header - int(t[12]>>4)*4
	if payload < 0 {
		return segment{}, false
	}
	return segment{
		route: route{
			netip.AddrPortFrom(from, binary.BigEndian.Uint16(t)),
			netip.AddrPortFrom(to, binary.BigEndian.Uint16(t[2:])),
		},
		mark: mark, flags: t[13], seq: binary.BigEndian.Uint32(t[4:]), payload: payload,
	}, true
}
