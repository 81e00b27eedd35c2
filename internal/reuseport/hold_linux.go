package reuseport

import (
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A Held is what Hold has changed on a socket.
type Held struct {
	ipv6     bool
	ttl, hop int  // IP_MINTTL and IPV6_MINHOPCOUNT before
	filter   bool // whether Hold attached a filter
}

// mostTTL is the highest TTL and hop limit.
const mostTTL = 255

// Hold makes c drop every SYN that it receives, until Release. Handshakes that are in
// progress go on.
//
// It attaches a filter (SO_ATTACH_FILTER). If the socket has a filter already, or the
// kernel requires a privilege for filters on TCP sockets, Hold requires the highest TTL
// instead (IP_MINTTL, IPV6_MINHOPCOUNT). Then c still takes a SYN that was sent with
// that TTL and has passed no router. Accepted sockets inherit the requirement; see
// Restore.
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

// require sets the lowest TTL and hop limit of a packet that the socket takes.
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

// Restore sets on a socket that was accepted while its listener was held what it would
// have inherited without Hold.
func (h Held) Restore(c syscall.RawConn) error {
	return control(c, func(fd int) error { return h.require(fd, h.ttl, h.hop) })
}

// withoutSYN accepts all packets except those with the flag SYN and without ACK. The
// filter of a TCP socket sees packets from their TCP header on.
var withoutSYN = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 13, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x02, SkipTrue: 1},
	bpf.RetConstant{Val: 0xffffffff},
	bpf.RetConstant{Val: 0},
}
