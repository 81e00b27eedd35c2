package late

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"lib"

	"github.com/godscp/godscp/dscp"
)

func before(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Control: func(network, address string, c syscall.RawConn) error { return lib.MarkRaw(c, 0xb8) }}
	return d.DialContext(ctx, "tcp", addr)
}

func hook(network, address string, c syscall.RawConn) error {
	var opErr error
	err := c.Control(func(fd uintptr) { opErr = lib.MarkFD(int(fd), 0xb8) })
	return errors.Join(err, opErr)
}

func ours(ctx context.Context, addr string) (net.Conn, error) {
	d := dscp.Dialer{DSCP: dscp.EF}
	return d.DialContext(ctx, "tcp", addr)
}

func datagrams(addr *net.UDPAddr) (*net.UDPConn, error) {
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		return nil, err
	}
	return c, lib.Mark(c, 0xb8)
}

func probe(host string) error {
	c, err := net.Dial("udp", host)
	if err != nil {
		return err
	}
	for tos := range 64 {
		if err := lib.MarkDSCP(c, tos); err != nil {
			return err
		}
		if _, err := c.Write(nil); err != nil {
			return err
		}
	}
	return nil
}

// packets is a session over UDP, as in kcp-go: its field is a PacketConn.
type packets struct{ conn net.PacketConn }

func (p *packets) SetDSCP(cp int) error { // want SetDSCP:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 1<<2`
	c, ok := p.conn.(net.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	return errors.Join(ipv4.NewConn(c).SetTOS(cp<<2), ipv6.NewConn(c).SetTrafficClass(cp<<2))
}

func overUDP(addr string) error {
	s, err := lib.DialWithOptions(addr)
	if err != nil {
		return err
	}
	return s.SetDSCP(46)
}

func unconnected(sa unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8); err != nil {
		return 0, err
	}
	return fd, unix.Connect(fd, sa)
}

// Mark passes its parameter on: its callers are reported.
func Mark(c net.Conn) error { return lib.Mark(c, 0xb8) } // want Mark:`sets IP_TOS and IPV6_TCLASS on parameter 0`

// other options are not reported.
func other(c *net.TCPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if err := lib.SetOption(rc, unix.SOL_SOCKET, unix.SO_PRIORITY, 6); err != nil {
		return err
	}
	return lib.SetOption(rc, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}
