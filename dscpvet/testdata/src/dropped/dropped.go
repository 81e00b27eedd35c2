// Package dropped ignores errors of marking calls.
package dropped

import (
	"errors"
	"log"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"lib"
)

func wrong(c *net.UDPConn, fd int) error {
	ipv4.NewConn(c).SetTOS(0xb8)                                      // want `^dropped: the error of SetTOS is ignored`
	_ = ipv6.NewConn(c).SetTrafficClass(0xb8)                         // want `^dropped: the error of SetTrafficClass`
	defer lib.Mark(c, 0)                                              // want `^dropped: the error of Mark`
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8) // want `^dropped: the error of SetsockoptInt`
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
	return err
}

func captured(c syscall.RawConn, tos int) error {
	var opErr error
	err := c.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, tos) // want `^dropped:`
		opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
	})
	if err != nil {
		return err
	}
	return opErr
}

func right(c *net.UDPConn, fd int) error {
	if err := ipv4.NewConn(c).SetTOS(0xb8); err != nil {
		log.Print(err)
	}
	e1 := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8)
	e2 := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6)
	return errors.Join(e1, e2)
}
