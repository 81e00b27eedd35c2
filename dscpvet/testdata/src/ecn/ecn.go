// Package ecn sets ECN bits with the mark.
package ecn

import (
	"net"

	"golang.org/x/net/ipv4"
)

func wrong(c *net.UDPConn) error {
	if err := ipv4.NewPacketConn(c).SetTOS(0xb9); err != nil { // want `^ecn: octet 0xb9 sets the ECN bits`
		return err
	}
	return ipv4.NewPacketConn(c).SetTOS(0x02) // want `^ecn: octet 0x2`
}

func right(c *net.UDPConn) error { return ipv4.NewPacketConn(c).SetTOS(0xb8) }
