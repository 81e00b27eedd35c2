// Package cmsg marks datagrams by control messages.
package cmsg

import (
	"net"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

func wrong(c *ipv6.PacketConn, dst net.Addr) error {
	_, err := c.WriteTo(nil, &ipv6.ControlMessage{TrafficClass: 2}, dst) // want `^cmsg: this control message replaces`
	return err
}

func byHand(h *unix.Cmsghdr) {
	h.Level = unix.IPPROTO_IP
	h.Type = unix.IP_TOS // want `^cmsg:`
}

func right(c *ipv6.PacketConn, dst net.Addr) error {
	_, err := c.WriteTo(nil, &ipv6.ControlMessage{HopLimit: 1}, dst)
	return err
}
