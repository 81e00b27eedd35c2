package dscptest

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// savedSYN returns the mark of the SYN that began c, which its listener saved
// (TCP_SAVE_SYN). The kernel hands it out once. It saves none when it answered
// with a SYN cookie.
func savedSYN(c *net.TCPConn) (cp dscp.CodePoint, ok bool) {
	err := controlConn(c, func(fd uintptr) error {
		var header [128]byte // IP and TCP headers of the SYN, options and all
		n, err := getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_SAVED_SYN, unsafe.Pointer(&header), uint32(len(header)))
		if err == nil {
			cp, ok = markOf(header[:n])
		}
		return err
	})
	return cp, ok && err == nil
}

// markOf returns the mark in an IP header of either version.
func markOf(header []byte) (dscp.CodePoint, bool) {
	if len(header) < 20 {
		return 0, false
	}
	switch header[0] >> 4 {
	case 4:
		return dscp.FromTOS(header[1]), true
	case 6: // version, Traffic Class, flow label: 4, 8 and 20 bits
		return dscp.FromTOS(header[0]<<4 | header[1]>>4), true
	}
	return 0, false
}
