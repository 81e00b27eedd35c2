package main

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// ipPktOptions is IP_PKTOPTIONS of linux/in.h, which x/sys does not have.
const ipPktOptions = 9

// receiveMarks makes the kernel keep the mark of the latest segment of an IPv6
// connection, and of the segment that completed the handshake of an IPv4 connection.
func receiveMarks(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Ignore errors: the server then reports fewer marks. A dual-stack socket accepts
		// both options.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		if network == "tcp6" {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		}
	})
}

// latestClass returns the mark of the latest segment of an IPv6 connection, by the socket
// option of RFC 2292, section 4.1, which Linux still has.
func latestClass(c syscall.Conn) (cp dscp.CodePoint, ok bool) {
	return packetOption(c, unix.IPPROTO_IPV6, unix.IPV6_2292PKTOPTIONS, unix.IPV6_TCLASS)
}

// handshakeMark returns the mark of the segment that completed the handshake of an IPv4
// connection. Linux does not keep that of a later segment.
func handshakeMark(c syscall.Conn) (cp dscp.CodePoint, ok bool) {
	return packetOption(c, unix.IPPROTO_IP, ipPktOptions, unix.IP_TOS)
}

// packetOption returns the mark in the control message of type kind in a socket option.
func packetOption(c syscall.Conn, level, option, kind int) (cp dscp.CodePoint, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return dscp.DF, false
	}
	var msg [64]byte
	n := uint32(len(msg))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(option),
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
		if m.Header.Level == int32(level) && m.Header.Type == int32(kind) && len(m.Data) >= 4 {
			return dscp.FromTOS(uint8(binary.NativeEndian.Uint32(m.Data))), true
		}
	}
	return dscp.DF, false
}
