// Package dscp has the part of the library that the fixtures use, in its shape.
package dscp

import (
	"context"
	"net"
	"syscall"
)

type CodePoint uint8

const (
	DF   CodePoint = 0
	CS1  CodePoint = 8
	AF21 CodePoint = 18
	EF   CodePoint = 46
)

func FromTOS(octet uint8) CodePoint { return CodePoint(octet >> 2) }

func (c CodePoint) TOS() uint8 { return uint8(c) << 2 }

type Dialer struct {
	NetDialer *net.Dialer
	DSCP      CodePoint
}

func (d *Dialer) Dial(network, address string) (net.Conn, error) { return nil, nil }
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return nil, nil
}
func (d *Dialer) DialTCP(ctx context.Context, network, laddr, raddr string) (*Conn, error) {
	return nil, nil
}

type ListenConfig struct{ DSCP CodePoint }

func (l *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return nil, nil
}
func (l *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return nil, nil
}

type Conn struct{ *net.TCPConn }

func (c *Conn) SetDSCP(cp CodePoint) error            { return nil }
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return nil, nil }

func Pin(c *net.TCPConn) (*Conn, error) { return nil, nil }
func Of(c net.Conn) (*Conn, bool)       { return nil, false }

func Control(cp CodePoint) func(network, address string, c syscall.RawConn) error { return nil }
