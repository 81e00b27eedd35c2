//go:build amd64 || arm64

package pinexec

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// markInherited marks the sockets that this process inherited, except those with a
// flow, whose mark must not change.
func markInherited(cp dscp.CodePoint) error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil || domain != unix.AF_INET && domain != unix.AF_INET6 || hasFlow(fd) {
			continue // not an Internet socket, or ReadDir's own descriptor, now closed
		}
		// Raw sockets may refuse the option; pinexec does not mark them anyway.
		err = mark(fd, domain, cp)
		if err != nil && !errors.Is(err, unix.ENOPROTOOPT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	return nil
}

// TCP states, from the kernel's net/tcp_states.h.
const (
	tcpClose  = 7
	tcpListen = 10
)

// hasFlow reports whether packets may have been sent from the socket to a peer.
func hasFlow(fd int) bool {
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		return info.State != tcpClose && info.State != tcpListen // getpeername fails in SYN_SENT
	}
	_, err := unix.Getpeername(fd)
	return err == nil
}

// mark marks a socket. It marks an IPv6 socket for IPv4-mapped peers, too.
func mark(fd, domain int, cp dscp.CodePoint) error {
	if domain == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(cp.TOS())); err != nil {
			return err
		}
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, int(cp.TOS()))
}
