// Package lib has functions that mark their parameters; packages that import it
// know them.
package lib

import (
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

func Mark(conn net.Conn, tos int) error { // want Mark:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<0`
	if conn.RemoteAddr().(*net.TCPAddr).IP.To4() != nil {
		return ipv4.NewConn(conn).SetTOS(tos)
	}
	return ipv6.NewConn(conn).SetTrafficClass(tos)
}

func MarkDSCP(conn net.Conn, cp int) error { // want MarkDSCP:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<2`
	return Mark(conn, cp<<2)
}

func MarkFD(fd, tos int) error { // want MarkFD:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<0`
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
}

func MarkRaw(c syscall.RawConn, tos int) error { // want MarkRaw:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<0`
	var opErr error
	err := c.Control(func(fd uintptr) {
		opErr = MarkFD(int(fd), tos)
	})
	if err != nil {
		return err
	}
	return opErr
}

// A Socket is a descriptor with methods, as in github.com/mdlayher/socket.
type Socket struct{ rc syscall.RawConn }

func (s *Socket) control(f func(fd int) error) error {
	var opErr error
	err := s.rc.Control(func(fd uintptr) { opErr = f(int(fd)) })
	if err != nil {
		return err
	}
	return opErr
}

func (s *Socket) SetsockoptInt(level, opt, value int) error { // want SetsockoptInt:`sets a socket option on parameter 0`
	return s.control(func(fd int) error { return unix.SetsockoptInt(fd, level, opt, value) })
}

func SetOption(c syscall.RawConn, level, opt, value int) error { // want SetOption:`sets a socket option on parameter 0`
	var opErr error
	if err := c.Control(func(fd uintptr) { opErr = unix.SetsockoptInt(int(fd), level, opt, value) }); err != nil {
		return err
	}
	return opErr
}

// A Session is one over UDP that looks like a net.Conn, as in kcp-go.
type Session struct {
	net.Conn
	conn net.PacketConn
	cp   int
}

// NewSession keeps a connection, and does not mark it.
func NewSession(conn net.PacketConn) *Session { return &Session{conn: conn} }

// Send marks its own socket: it is not a setter.
func (s *Session) Send(b []byte) error {
	if err := s.SetDSCP(s.cp); err != nil {
		return err
	}
	_, err := s.Conn.Write(b)
	return err
}

func (s *Session) SetDSCP(cp int) error { // want SetDSCP:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<2`
	return MarkDSCP(s.conn.(net.Conn), cp)
}

func DialWithOptions(addr string) (*Session, error) { return nil, nil }
