// Package tos works on sockets and on octets: it sets, reads and parses the IPv4
// TOS octet and the IPv6 Traffic Class octet, for every system. Every mark that
// this module sets goes through it. It knows nothing of code points, nor of what a
// mark should be: its API has octets only.
package tos

import (
	"net"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// An Option is a socket option that holds the octet of the packets that a socket
// sends.
type Option uint8

const (
	IPv4TOS    Option = iota // IP_TOS, for IPv4 packets
	IPv6TClass               // IPV6_TCLASS, for IPv6 packets
)

// Both has the two options. It must not be changed.
var Both = [...]Option{IPv4TOS, IPv6TClass}

// String returns the name of the option in C: "IP_TOS" or "IPV6_TCLASS".
func (o Option) String() string {
	if o == IPv4TOS {
		return "IP_TOS"
	}
	return "IPV6_TCLASS"
}

// The levels of IPv4's and IPv6's socket options and control messages, IPPROTO_IP
// and IPPROTO_IPV6, which are the same on every system.
const (
	levelIPv4 = 0
	levelIPv6 = 41
)

// Level returns the level of the option and of its control messages.
func (o Option) Level() int {
	if o == IPv4TOS {
		return levelIPv4
	}
	return levelIPv6
}

// Set writes the octet. It calls x/net, which knows each system, unless [UseSecret]
// has set a secret. c may be a socket that is not connected yet.
func (o Option) Set(c syscall.RawConn, octet uint8) (err error) {
	if s := secret.Load(); s != 0 {
		return o.setWithSecret(c, octet, s)
	}
	x := xnetConns.Get().(*xnetConn)
	x.socket.RawConn = c
	if o == IPv4TOS {
		err = x.v4.SetTOS(int(octet))
	} else {
		err = x.v6.SetTrafficClass(int(octet))
	}
	x.socket.RawConn = nil
	xnetConns.Put(x)
	return err
}

// An xnetConn lets x/net's ipv4 and ipv6 packages work on a socket that is not
// connected yet. They require a net.Conn and use only its SyscallConn. They take a
// conn with a method SetLinger for TCP and never call it; for the two options here
// they do the same on any socket. An xnetConn is used for one socket after another.
type xnetConn struct {
	net.Conn
	socket struct{ syscall.RawConn } // the socket of the current call

	v4 *ipv4.Conn
	v6 *ipv6.Conn
}

func (x *xnetConn) SyscallConn() (syscall.RawConn, error) { return &x.socket, nil }
func (x *xnetConn) SetLinger(int) error                   { return syscall.EINVAL }

var xnetConns = sync.Pool{New: func() any {
	x := new(xnetConn)
	x.v4, x.v6 = ipv4.NewConn(x), ipv6.NewConn(x)
	return x
}}
