// Package level sets options at the wrong level.
package level

import (
	"syscall"

	"golang.org/x/sys/unix"
	"lib"
)

func wrong(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.IP_TOS, 0xb8); err != nil { // want `^level: IP_TOS is an option of IPPROTO_IP; at SOL_SOCKET its number is that of another option`
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IP_TOS, 0xb8); err != nil { // want `^level: IP_TOS`
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IPV6_TCLASS, 0xb8); err != nil { // want `^level: IPV6_TCLASS is an option of IPPROTO_IPV6`
		return err
	}
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.IP_TOS) // want `^level: IP_TOS`
	return err
}

func throughMethod(s *lib.Socket) error {
	return s.SetsockoptInt(unix.SOL_SOCKET, unix.IPV6_TCLASS, 0xb8) // want `^level: IPV6_TCLASS`
}

func right(fd int, s *lib.Socket) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TOS, 0xb8); err != nil {
		return err
	}
	if err := s.SetsockoptInt(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}
