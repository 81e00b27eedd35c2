package main

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// remark changes the mark of an established connection, to test what the path does.
//
//nolint:dscpvet // the change is the test
func remark(c net.Conn, cp dscp.CodePoint) error {
	option, err := "IPV6_TCLASS", error(nil)
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() != nil {
		option, err = "IP_TOS", ipv4.NewConn(c).SetTOS(int(cp.TOS()))
	} else {
		err = ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
	}
	if err != nil {
		return &dscp.MarkError{CodePoint: cp, Option: option, Err: err}
	}
	return nil
}
