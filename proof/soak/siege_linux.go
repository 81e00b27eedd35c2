package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// A siege tries to change the mark of a live connection.
type siege struct {
	tally  *tally
	routes []route
	marks  []dscp.CodePoint
}

// A route is a way to change a mark. Every route must be refused.
type route func(c *dscp.Conn, cp dscp.CodePoint) error

// tight are the routes that let no packet out, for boxes that reset.
var tight = []route{setDSCP, setByXNet}

// loose are all routes: a change by an unknown function is put back, but segments may
// have left before.
var loose = []route{setDSCP, setByXNet, setByControl, setByRead, setByWrite}

// lays returns a random siege.
func (w *worker) lays(routes []route) *siege {
	s := &siege{tally: w.tally}
	for range 1 + w.rng.IntN(12) {
		s.routes = append(s.routes, one(w, routes))
		s.marks = append(s.marks, w.mark())
	}
	return s
}

// lay tries each change once. A refusal must not disturb the connection; the exchange
// that runs meanwhile checks that.
func (s *siege) lay(c *dscp.Conn) error {
	for i, try := range s.routes {
		cp := s.marks[i]
		if cp == c.DSCP() {
			continue
		}
		if err := try(c, cp); !errors.Is(err, dscp.ErrMidFlow) {
			return fmt.Errorf("the mark %v of a live connection was changed to %v: %v", c.DSCP(), cp, err)
		}
		s.tally.refusals.Add(1)
	}
	return nil
}

func setDSCP(c *dscp.Conn, cp dscp.CodePoint) error { return c.SetDSCP(cp) }

func setByXNet(c *dscp.Conn, cp dscp.CodePoint) error {
	if sendsIPv4(c) {
		return ipv4.NewConn(c).SetTOS(int(cp.TOS())) //nolint:dscpvet // the soak test attacks the mark
	}
	return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS())) //nolint:dscpvet // the soak test attacks the mark
}

func setByControl(c *dscp.Conn, cp dscp.CodePoint) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { set(fd, c, cp) }) //nolint:errcheck,dscpvet // the soak test attacks the mark
}

func setByRead(c *dscp.Conn, cp dscp.CodePoint) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return set(fd, c, cp) == nil }) //nolint:dscpvet // the soak test attacks the mark
}

func setByWrite(c *dscp.Conn, cp dscp.CodePoint) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Write(func(fd uintptr) bool { return set(fd, c, cp) == nil }) //nolint:dscpvet // the soak test attacks the mark
}

// set sets the option that marks what c sends.
func set(fd uintptr, c net.Conn, cp dscp.CodePoint) error {
	level, option := syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
	if sendsIPv4(c) {
		level, option = syscall.IPPROTO_IP, syscall.IP_TOS
	}
	return syscall.SetsockoptInt(int(fd), level, option, int(cp.TOS()))
}

func sendsIPv4(c net.Conn) bool {
	return c.RemoteAddr().(*net.TCPAddr).IP.To4() != nil
}
