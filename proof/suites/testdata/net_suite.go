package net

import (
	"context"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Suite, once set, dials and listens in place of the exported functions of this
// package.
var Suite interface {
	DialContext(ctx context.Context, d *Dialer, network, address string) (Conn, error)
	Listen(ctx context.Context, lc *ListenConfig, network, address string) (Listener, error)
	ListenPacket(ctx context.Context, lc *ListenConfig, network, address string) (PacketConn, error)
}

type suiteKey struct{}

// enterSuite reports whether a call comes from a test. Calls that Suite itself makes
// do not.
func enterSuite(ctx context.Context) (context.Context, bool) {
	if Suite == nil || ctx == nil || ctx.Value(suiteKey{}) != nil {
		return ctx, false
	}
	return context.WithValue(ctx, suiteKey{}, true), true
}

// The methods of *TCPConn, *TCPListener and *UDPConn that the tests call.
type (
	SuiteTCPConn interface {
		Conn
		io.ReaderFrom
		CloseRead() error
		CloseWrite() error
		File() (*os.File, error)
		SetKeepAliveConfig(KeepAliveConfig) error
		SetLinger(int) error
		SyscallConn() (syscall.RawConn, error)
		suiteFD() *netFD
	}
	SuiteTCPListener interface {
		Listener
		File() (*os.File, error)
		SetDeadline(time.Time) error
		SyscallConn() (syscall.RawConn, error)
		suiteFD() *netFD
	}
	SuiteUDPConn interface {
		Conn
		PacketConn
		File() (*os.File, error)
		ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
		WriteMsgUDP(b, oob []byte, addr *UDPAddr) (int, int, error)
		WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (int, int, error)
		WriteToUDP([]byte, *UDPAddr) (int, error)
		WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
		suiteFD() *netFD
	}
)

func (c *conn) suiteFD() *netFD        { return c.fd }
func (l *TCPListener) suiteFD() *netFD { return l.fd }
