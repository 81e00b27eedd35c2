// Package ipv4 has the part of x/net/ipv4 that the fixtures use, in its shape.
package ipv4

import "net"

type genericOpt struct{ c net.Conn }

func (o *genericOpt) SetTOS(tos int) error { return nil }
func (o *genericOpt) TOS() (int, error)    { return 0, nil }

type Conn struct{ genericOpt }

func NewConn(c net.Conn) *Conn { return &Conn{genericOpt{c}} }

type PacketConn struct{ genericOpt }

func NewPacketConn(c net.PacketConn) *PacketConn { return &PacketConn{} }

type RawConn struct{ genericOpt }

func NewRawConn(c net.PacketConn) (*RawConn, error) { return &RawConn{}, nil }
