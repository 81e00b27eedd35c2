package dscptest

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// prepareUDP returns a hook that has a socket tell the TOS or Traffic Class of
// each datagram in a control message.
func (s *linuxSenses) prepareUDP() func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd uintptr) error {
			if s.v6 {
				return setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS")
			}
			return setInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1, "IP_RECVTOS")
		})
	}
}

// octet returns the TOS or Traffic Class in the control messages of a datagram.
func (s *linuxSenses) octet(oob []byte) (uint8, bool) {
	for len(oob) >= unix.CmsgLen(0) { // what is shorter than a header is padding
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		switch {
		case s.v6 && h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			return uint8(binary.NativeEndian.Uint32(data)), true
		case !s.v6 && h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			return data[0], true
		}
		oob = rest
	}
	return 0, false
}

// withOctet returns the control message that sends a datagram with an octet.
func (s *linuxSenses) withOctet(octet uint8) []byte {
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.SetLen(unix.CmsgLen(4))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TOS
	if s.v6 {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], uint32(octet))
	return b
}
