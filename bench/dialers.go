package main

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/database64128/tfo-go/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"storj.io/common/socket"

	"github.com/godscp/godscp/dscp"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialers are compared to the first of them. Each is made once and dials many times, as in
// a program.
var dialers = []struct {
	name string
	dial dialFunc
}{
	{"`net.Dialer`", new(net.Dialer).DialContext},
	{"`net.Dialer` again (noise)", new(net.Dialer).DialContext},
	{"own `Control`, one setsockopt", (&net.Dialer{Control: setOneOption}).DialContext},
	{"`dscp.Dialer{DSCP: AF21}`", (&dscp.Dialer{DSCP: dscp.AF21}).DialContext},
	{"`dscp.Dialer{}`", new(dscp.Dialer).DialContext},
	{"`dscp.Dialer{DSCP: AF21}.Marked()`", (&dscp.Dialer{DSCP: dscp.AF21}).Marked().DialContext},
	{"`net.Dialer`, then x/net (late)", dialThenMark},
	{"storj `ExtendedDialer{LowEffortQoS: true}`", socket.ExtendedDialer{LowEffortQoS: true}.DialContext},
	{"tfo-go `Dialer{DisableTFO: true}`", dialTFO},
}

// setOneOption marks a socket with the fewest calls.
func setOneOption(network, _ string, c syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if network == "tcp6" {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), level, option, int(dscp.AF21.TOS()))
	})
	return errors.Join(err, failed)
}

var bareDialer net.Dialer

// dialThenMark marks after connect, as most programs do. The SYN is not marked.
func dialThenMark(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := bareDialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := markLate(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// markLate marks an established connection.
//
//nolint:dscpvet // the late mark of other programs is one of the things that are compared
func markLate(c net.Conn) error {
	if c.RemoteAddr().(*net.TCPAddr).IP.To4() != nil {
		return ipv4.NewConn(c).SetTOS(int(dscp.AF21.TOS()))
	}
	return ipv6.NewConn(c).SetTrafficClass(int(dscp.AF21.TOS()))
}

var tfoDialer = tfo.Dialer{DisableTFO: true}

func dialTFO(ctx context.Context, network, address string) (net.Conn, error) {
	return tfoDialer.DialContext(ctx, network, address, nil)
}
