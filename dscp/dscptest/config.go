package dscptest

import "time"

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

	// Delay is added to the payload in each direction. The handshake is the
	// kernel's and stays as fast as loopback.
	Delay time.Duration
}

// Start starts the box. The caller has to close it.
//
// On an operating system where marks cannot be sensed, the error is a
// *[dscp.UnsupportedError].
func (c Config) Start() (*Middlebox, error) {
	return start(c)
}
