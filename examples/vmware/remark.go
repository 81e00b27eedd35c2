package main

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// remark returns a function that marks an established connection, as most programs do.
// After that the flow has had two marks.
//
//nolint:dscpvet // the program shows the result
func remark(cp dscp.CodePoint) func(net.Conn) error {
	return func(c net.Conn) error {
		if isIPv4(c) {
			return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
		}
		return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
	}
}

// setDSCP returns a function that calls SetDSCP of a pinned connection.
func setDSCP(cp dscp.CodePoint) func(net.Conn) error {
	return func(c net.Conn) error {
		pinned, ok := dscp.Of(c)
		if !ok {
			return errNotPinned
		}
		return pinned.SetDSCP(cp)
	}
}

// markOf reads the mark of c's socket.
func markOf(c net.Conn) mark {
	var octet int
	var err error
	if isIPv4(c) {
		octet, err = ipv4.NewConn(c).TOS()
	} else {
		octet, err = ipv6.NewConn(c).TrafficClass()
	}
	return mark{dscp.FromTOS(uint8(octet)), err == nil}
}

func isIPv4(c net.Conn) bool {
	a, ok := c.LocalAddr().(*net.TCPAddr)
	return ok && a.IP.To4() != nil
}
