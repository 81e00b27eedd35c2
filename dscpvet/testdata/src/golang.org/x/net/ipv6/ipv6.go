// Package ipv6 has the part of x/net/ipv6 that the fixtures use, in its shape.
package ipv6

import "net"

type genericOpt struct{ c net.Conn }

func (o *genericOpt) SetTrafficClass(tclass int) error { return nil }
func (o *genericOpt) SetHopLimit(hoplim int) error     { return nil }

type Conn struct{ genericOpt }

func NewConn(c net.Conn) *Conn { return &Conn{genericOpt{c}} }

type PacketConn struct{ genericOpt }

func NewPacketConn(c net.PacketConn) *PacketConn { return &PacketConn{} }

type ControlMessage struct {
	TrafficClass int
	HopLimit     int
	Src, Dst     net.IP
}

func (c *PacketConn) WriteTo(b []byte, cm *ControlMessage, dst net.Addr) (int, error) {
	return 0, nil
}
