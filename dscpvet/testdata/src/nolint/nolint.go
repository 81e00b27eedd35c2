// Package nolint silences findings.
package nolint

import (
	"net"

	"golang.org/x/net/ipv4"
)

func reasons(c *net.TCPConn) {
	ipv4.NewConn(c).SetTOS(0x20) //nolint:dscpvet // measures what the path does to a change
	//nolint:errcheck,dscpvet // measures what the path does to a change
	ipv4.NewConn(c).SetTOS(0x20)
	ipv4.NewConn(c).SetTOS(0x20) //nolint // best effort
}

// whole changes marks.
//
//nolint:dscpvet // measures what the path does to a change
func whole(c *net.TCPConn) {
	ipv4.NewConn(c).SetTOS(0x20)
	ipv4.NewConn(c).SetTOS(0x28)
}

func without(c *net.TCPConn) error {
	//nolint:dscpvet
	if err := ipv4.NewConn(c).SetTOS(0x20); err != nil { // want `^late: .*\(the nolint comment gives no reason\)$`
		return err
	}
	if err := ipv4.NewConn(c).SetTOS(0x20); err != nil { //nolint:errcheck // another linter // want `^late: `
		return err
	}
	return ipv4.NewConn(c).SetTOS(0x20) // want `^late: `
}
