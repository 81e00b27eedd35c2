package main

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// receiveClass makes the kernel keep the Traffic Class of the segment that an
// IPv6 connection received last.
func receiveClass(network, _ string, c syscall.RawConn) error {
	if network != "tcp6" {
		return nil
	}
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1) // without it there is less to tell
	})
}

// latestClass returns the mark of the segment that c received last. Linux still
// has the socket option of RFC 2292 for it, section 4.1.
func latestClass(c syscall.Conn) (cp dscp.CodePoint, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return dscp.DF, false
	}
	var msg [64]byte
	n := uint32(len(msg))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_IPV6, unix.IPV6_2292PKTOPTIONS,
			uintptr(unsafe.Pointer(&msg)), uintptr(unsafe.Pointer(&n)), 0)
	})
	if err != nil || errno != 0 {
		return dscp.DF, false
	}
	msgs, err := unix.ParseSocketControlMessage(msg[:n])
	if err != nil {
		return dscp.DF, false
	}
	for _, m := range msgs {
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS && len(m.Data) >= 4 {
			return dscp.FromTOS(uint8(binary.NativeEndian.Uint32(m.Data))), true
		}
	}
	return dscp.DF, false
}
