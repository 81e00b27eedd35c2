package reuseport

import (
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A Held is a socket as it was before Hold.
type Held struct {
	ipv6     bool
	ttl, hop int  // IP_MINTTL and IPV6_MINHOPCOUNT
	filter   bool // whether it is held by a filter
}

// mostTTL is the highest TTL and hop limit.
const mostTTL = 255

// Hold has c lose every SYN that it receives, until Release. Handshakes that are in
// progress go on.
//
// It attaches a filter (SO_ATTACH_FILTER). Where the socket has one, or the kernel
// wants a privilege for those of TCP, it asks for the highest TTL (IP_MINTTL,
// IPV6_MINHOPCOUNT) instead: only SYNs that have come over no router, from a peer that
// sends that TTL, get through. Accepted sockets inherit that, see Restore.
func Hold(c syscall.RawConn) (h Held, err error) {
	err = control(c, func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return failed("SO_DOMAIN", "getsockopt", err)
		}
		h.ipv6 = domain == unix.AF_INET6
		if h.ttl, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL); err != nil {
			return failed("IP_MINTTL", "getsockopt", err)
		}
		if h.ipv6 {
			if h.hop, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT); err != nil {
				return failed("IPV6_MINHOPCOUNT", "getsockopt", err)
			}
		}
		if has, err := hasFilter(fd); err == nil && !has {
			err = attach(fd, unix.SO_ATTACH_FILTER, "SO_ATTACH_FILTER", withoutSYN)
			if h.filter = err == nil; h.filter {
				return nil
			}
		}
		return h.require(fd, mostTTL, mostTTL)
	})
	return h, err
}

// require sets the lowest TTL and hop limit with which a packet is taken.
func (h Held) require(fd, ttl, hop int) error {
	if h.ipv6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, hop); err != nil {
			return failed("IPV6_MINHOPCOUNT", "setsockopt", err)
		}
	}
	return failed("IP_MINTTL", "setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, ttl))
}

// Release undoes Hold.
func (h Held) Release(c syscall.RawConn) error {
	if !h.filter {
		return h.Restore(c)
	}
	return control(c, func(fd int) error {
		return failed("SO_DETACH_FILTER", "setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
	})
}

// Restore gives a socket that was accepted from one on hold what it would have
// inherited otherwise.
func (h Held) Restore(c syscall.RawConn) error {
	return control(c, func(fd int) error { return h.require(fd, h.ttl, h.hop) })
}

// withoutSYN accepts all packets but those that have the flag SYN and not ACK. A
// filter of a TCP socket sees packets from their TCP header on.
var withoutSYN = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 13, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x02, SkipTrue: 1},
	bpf.RetConstant{Val: 0xffffffff},
	bpf.RetConstant{Val: 0},
}
