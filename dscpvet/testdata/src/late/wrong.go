// Package late marks connections that are up.
package late

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"strings"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"lib"

	"github.com/godscp/godscp/dscp"
)

func dial(addr string, tos int) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if strings.Count(c.RemoteAddr().String(), ":") > 1 {
		err = ipv6.NewConn(c).SetTrafficClass(tos) // want `^late: SetTrafficClass marks a connection that is up \(dialed on line 22\)`
	} else {
		err = ipv4.NewConn(c).SetTOS(tos) // want `^late: SetTOS marks`
	}
	return c, err
}

type dialer struct {
	net.Dialer
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, lib.Mark(c, 0xb8) // want `^late: Mark, which sets IP_TOS and IPV6_TCLASS, marks`
}

func (d *dialer) custom(ctx context.Context, addr string) (net.Conn, error) {
	c, err := d.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return c, lib.Mark(c, 0xb8) // want `^late: Mark`
}

func accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(c)
	}
}

func serve(c net.Conn) {
	if err := setup(c); err != nil { // the caller's connection
		log.Print(err)
	}
}

func setup(c net.Conn) error { return lib.Mark(c, 0xb8) } // want `^late: Mark.*accepted on line 57`

func acceptTCP(l *net.TCPListener) error {
	c, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return lib.MarkRaw(rc, 0xb8) // want `^late: MarkRaw.*accepted on line 74`
}

func descriptor(c *net.TCPConn) error { // has no caller here
	f, err := c.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return syscall.SetsockoptInt(int(f.Fd()), syscall.IPPROTO_IP, syscall.IP_TOS, 0xb8) // want `^late: SetsockoptInt marks a connection that is up:`
}

func numbers(c *net.TCPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = rc.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), 41, 67, 0xb8) // want `^late: SetsockoptInt`
	})
	if err != nil {
		return err
	}
	return opErr
}

func either(c *net.TCPConn, v6 bool) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	level, opt := unix.IPPROTO_IP, unix.IP_TOS
	if v6 {
		level, opt = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	return lib.SetOption(rc, level, opt, 0xb8) // want `^late: SetOption`
}

type session struct {
	conn net.Conn
	tls  *tls.Conn
	ch   chan net.Conn
}

func (s *session) connect(addr string) (err error) {
	s.conn, err = net.Dial("tcp", addr)
	return err
}

func (s *session) mark(tos int) error {
	return lib.Mark(s.conn, tos) // want `^late: Mark.*dialed`
}

func (s *session) secure() error {
	return lib.Mark(s.tls.NetConn(), 0xb8) // want `^late: Mark`
}

func (s *session) next() error {
	return lib.Mark(<-s.ch, 0xb8) // want `^late: Mark`
}

func server() *http.Server {
	return &http.Server{
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				if err := lib.Mark(c, 0xb8); err != nil { // want `^late: Mark`
					log.Print(err)
				}
			}
		},
	}
}

func byHand(sa unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Connect(fd, sa); err != nil {
		return 0, err
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8) // want `^late: SetsockoptInt.*dialed on line`
}

func acceptByHand(l int) error {
	fd, _, err := unix.Accept4(l, 0)
	if err != nil {
		return err
	}
	return lib.MarkFD(fd, 0xb8) // want `^late: MarkFD`
}

func literal(addr string) error {
	mark := func(c net.Conn) error { return lib.Mark(c, 0xb8) } // want `^late:`
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return mark(c)
}

func either2(addr string, tos int) error { // one caller is right
	u, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	if err := shared(u, tos); err != nil {
		return err
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return shared(c, tos) // want `^late: shared`
}

func shared(c net.Conn, tos int) error { return lib.Mark(c, tos) }

func guarded(ctx context.Context, addr string) error {
	d := dscp.Dialer{DSCP: dscp.EF}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return lib.Mark(c, 0xb8) // want `^late: .* fails with ErrMidFlow`
}

// Serve is called by a server of another package.
func Serve(c net.Conn) {
	defer c.Close()
	if err := lib.Mark(c, 0xb8); err != nil { // want `^late: Mark`
		log.Print(err)
	}
}

type keeper struct{ conn net.Conn }

func newKeeper(c net.Conn) *keeper { return &keeper{c} }

func (k *keeper) mark() error { return lib.Mark(k.conn, 0xb8) } // want `^late: Mark.*dialed`

func keep(addr string) (*keeper, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return newKeeper(c), nil
}
