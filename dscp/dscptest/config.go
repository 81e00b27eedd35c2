package dscptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A Config describes a [Middlebox]. Upstream is required; the zero value of
// every other field is useful.
type Config struct {
	// Upstream is the host:port that the box forwards to. It decides the
	// address family of the box.
	Upstream string

	// Models say how the box treats marks. Each judges what the one before
	// it let through, with the mark that the one before it left. Without a
	// model the box forwards and tells what it saw.
	Models []Model

	// Inside is the side that sits behind the NAT: only what that side sends
	// is judged by the models. Zero means both, which is stricter than any
	// one real box. What the other side sends is forwarded and recorded.
	Inside Side

	// Sensor is how the box shall learn marks. Empty means the best that this
	// process may use. One that is not to be had makes Start fail.
	Sensor Sensor

	// Delay is added to the payload in each direction. The handshake is the
	// kernel's and stays as fast as loopback.
	Delay time.Duration
}

// Start starts the box. The caller has to close it; in a test,
// [Config.NewMiddlebox] does.
//
// On an operating system where marks cannot be sensed, the error is a
// *[dscp.UnsupportedError]. So it is on IPv4 where the upstream is outside this
// network namespace and a model would judge what it sends later on: see
// [SocketOption], and set Inside to [Client].
func (c Config) Start() (*Middlebox, error) {
	upstream, err := c.check()
	if err != nil {
		return nil, err
	}
	return start(c, upstream)
}

// check finds what is wrong with c and resolves the upstream.
func (c Config) check() (netip.AddrPort, error) {
	if c.Inside > Server {
		return netip.AddrPort{}, fmt.Errorf("dscptest: Config.Inside is %d: it must be Client, Server or zero", c.Inside)
	}
	if c.Delay < 0 {
		return netip.AddrPort{}, fmt.Errorf("dscptest: Config.Delay is negative: %v", c.Delay)
	}
	if c.Upstream == "" {
		return netip.AddrPort{}, errors.New("dscptest: no upstream: a box needs the host:port of a server to stand before")
	}
	a, err := net.ResolveTCPAddr("tcp", c.Upstream)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("dscptest: upstream %q: %w", c.Upstream, err)
	}
	if a.IP == nil || a.Port == 0 {
		return netip.AddrPort{}, fmt.Errorf("dscptest: upstream %q: host and port are needed", c.Upstream)
	}
	return addrPort(a), nil
}
