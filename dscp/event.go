package dscp

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/godscp/godscp/internal/tos"
)

// An Event is the result of one operation, for the Trace function of a [Dialer] or a
// [ListenConfig]: of an attempt to connect, of making or wrapping a listener or a packet
// socket, of accepting a connection. A dial makes one event for each mark that it tries;
// net may try several addresses in one attempt. An operation that is refused before
// a socket is made, for example because of a code point above 63, makes no event.
type Event struct {
	Op      string   // "dial", "listen", "accept" or "wrap"
	Network string   // as the caller gave it; for "accept" and "wrap", the listener's
	Address string   // as the caller gave it; for "accept" and "wrap", the listener's
	Local   net.Addr // the local address; nil if the operation failed
	Remote  net.Addr // the peer's address; nil if the operation failed or the socket is not connected

	Requested CodePoint // the mark that was asked for, with NATSafe applied
	Effective CodePoint // the mark that the kernel holds; DF if the operation failed

	// Rung is the index of the mark: 0 for DSCP, 1 for the first other mark of Fallback,
	// and so on.
	Rung int

	// Why is the reason for trying this mark: "first", "remembered" (by Memory), "delay"
	// (FallbackDelay has passed) or "failure" (the attempt before has failed).
	Why string

	Duration time.Duration // how long the operation took; zero for "accept"
	Err      error         // nil if the operation succeeded
}

// errLost is the error in the Event of a connection that came up after another one.
var errLost = errors.New("another mark connected first")

// A tracer is a Trace function, or nil.
type tracer func(Event)

// clock returns the time, or the zero time if t is nil.
func (t tracer) clock() (now time.Time) {
	if t != nil {
		now = time.Now()
	}
	return now
}

// socket calls t for an operation that took from begin until now and returned c or err.
func (t tracer) socket(op, network, address string, requested CodePoint, begin time.Time, c any, err error) {
	if t == nil {
		return
	}
	e := Event{Op: op, Network: network, Address: address, Requested: requested, Why: "first"}
	if !begin.IsZero() {
		e.Duration = time.Since(begin)
	}
	t.tell(e, c, err)
}

// tell calls t with e, which it completes with the result c or err.
func (t tracer) tell(e Event, c any, err error) {
	if t == nil {
		return
	}
	e.Err = err
	if err == nil {
		e.describe(c)
	}
	t(e)
}

// describe sets the addresses and the mark of the socket c.
func (e *Event) describe(c any) {
	switch c := c.(type) {
	case net.Conn:
		e.Local, e.Remote = c.LocalAddr(), c.RemoteAddr()
	case net.PacketConn:
		e.Local = c.LocalAddr()
	case net.Listener:
		e.Local = c.Addr()
	}
	switch c := c.(type) {
	case interface{ DSCP() CodePoint }:
		e.Effective = c.DSCP()
	case syscall.Conn:
		raw, err := c.SyscallConn()
		if err != nil || tos.Host.Unmarkable != "" || !markable(e.Network) {
			return
		}
		for _, opt := range tos.Both { // IPV6_TCLASS counts where there is one
			if octet, err := opt.Get(raw); err == nil {
				e.Effective = FromTOS(octet)
			}
		}
	}
}
