package dscptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// linuxSenses needs no privilege, and is better with CAP_NET_RAW.
type linuxSenses struct {
	v6       bool
	diag     *sockDiag // in IPv6 only to foretell SYN-ACKs; nil if it does not work
	packets  *capture  // nil where this process may not, or shall not
	reflects bool      // servers here answer a SYN with its own mark
}

// openSenses tries what this kernel and process can do for boxes of the family.
func openSenses(v6 bool) (senses, error) {
	diag, err := openSockDiag()
	if err == nil {
		err = diag.try(v6)
		if err != nil {
			diag.close()
			diag = nil
		}
	}
	if err != nil && !v6 {
		return nil, unsupported("tcp4", "NETLINK_SOCK_DIAG", err)
	}
	return &linuxSenses{v6: v6, diag: diag, reflects: reflectsTOS()}, nil
}

// try asks about a listener of its own.
func (d *sockDiag) try(v6 bool) error {
	address := "127.0.0.1:0"
	if v6 {
		address = "[::1]:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, ok := d.listener(addrPort(l.Addr())); !ok {
		return fmt.Errorf("no answer about a listener on %v", l.Addr())
	}
	return nil
}

func (s *linuxSenses) capture(port uint16, upstream netip.AddrPort) error {
	c, err := openCapture(s.v6, port, upstream)
	if err == nil {
		s.packets = c
	}
	return err
}

func (s *linuxSenses) sensor() Sensor {
	if s.packets != nil {
		return WireEvery
	}
	if s.v6 {
		return WireLatest
	}
	return SocketOption
}

func (s *linuxSenses) prepareListener(cp dscp.CodePoint, shared bool) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd uintptr) error {
			if shared {
				if err := reusePort(fd); err != nil {
					return err
				}
			}
			if err := setInt(fd, unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 1, "TCP_SAVE_SYN"); err != nil {
				return err
			}
			return s.ready(fd, cp)
		})
	}
}

func (s *linuxSenses) prepareDial(cp dscp.CodePoint) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd uintptr) error { return s.ready(fd, cp) })
	}
}

// ready marks a socket and turns the latch on, which accepted sockets inherit.
func (s *linuxSenses) ready(fd uintptr, cp dscp.CodePoint) error {
	if s.v6 {
		if err := setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"); err != nil {
			return err
		}
	}
	return s.markFD(fd, cp)
}

func (s *linuxSenses) markFD(fd uintptr, cp dscp.CodePoint) error {
	if s.v6 {
		return setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(cp.TOS()), "IPV6_TCLASS")
	}
	return setInt(fd, unix.IPPROTO_IP, unix.IP_TOS, int(cp.TOS()), "IP_TOS")
}

func (s *linuxSenses) mark(c syscall.RawConn, cp dscp.CodePoint) error {
	return control(c, func(fd uintptr) error { return s.markFD(fd, cp) })
}

func (s *linuxSenses) savedSYN(c *net.TCPConn) (dscp.CodePoint, bool) { return savedSYN(c) }

func (s *linuxSenses) synACKMark(addr netip.AddrPort, syn dscp.CodePoint) (dscp.CodePoint, bool) {
	if s.diag == nil {
		return 0, false
	}
	cp, ok := s.diag.listener(addr)
	if ok && s.reflects {
		cp = syn
	}
	return cp, ok
}

// reflectsTOS reads the sysctl tcp_reflect_tos, which is for both families.
func reflectsTOS() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_reflect_tos")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

func (s *linuxSenses) probe(c *net.TCPConn) (probe, error) {
	if s.packets != nil {
		if p, ok := s.packets.probe(c); ok {
			return p, nil
		}
		return nil, errNotCaptured
	}
	if s.v6 {
		return newLatch(c)
	}
	return newDiagProbe(s.diag, c)
}

func (s *linuxSenses) darken(c *net.TCPConn) error { return controlConn(c, s.darkenFD) }

// darkenFD uses the check of RFC 5082 (GTSM): a segment whose TTL or Hop Limit
// is below 255 is lost before TCP. Nothing on loopback, and next to nothing
// elsewhere, is sent with 255.
func (s *linuxSenses) darkenFD(fd uintptr) error {
	if s.v6 {
		return setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 255, "IPV6_MINHOPCOUNT")
	}
	return setInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, 255, "IP_MINTTL")
}

// errNotCaptured says that the capture, which lost nothing, has not seen a
// connection begin.
var errNotCaptured = errors.New("dscptest: the SYN was not captured")

func (s *linuxSenses) close() error {
	var errs []error
	if s.packets != nil {
		errs = append(errs, s.packets.close())
	}
	if s.diag != nil {
		errs = append(errs, s.diag.close())
	}
	return errors.Join(errs...)
}
