package dscp

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/godscp/godscp/internal/tos"
)

// An Event tells the Trace function of a [Dialer] or a [ListenConfig] what has
// become of one socket: of one attempt to connect, of a listener or a packet
// socket, of an accepted connection. A dial makes one event, one for each mark
// that it has tried under Fallback; net may have tried several addresses in it.
// What is refused before there is a socket makes none.
type Event struct {
	Op      string   // "dial", "listen", "accept" or "wrap"
	Network string   // as the caller gave it; of "accept" and "wrap", the listener's
	Address string   // likewise
	Local   net.Addr // the addresses of the socket; nil if it did not come up
	Remote  net.Addr // nil also for what is not connected

	Requested CodePoint // the mark that was asked for, with NATSafe applied
	Effective CodePoint // the mark that the kernel holds; DF if the socket did not come up

	Rung int    // 0 for DSCP, 1 for the first of Fallback that is another mark, and so on
	Why  string // why this mark was tried: "first", "remembered" (by Memory), "delay" (FallbackDelay has passed) or "failure" (of the mark before)

	Duration time.Duration // how long it took; zero for "accept", which waits for others
	Err      error         // nil if the socket came up
}

// errLost is the fate of a connection that came up when it was wanted no more.
var errLost = errors.New("another mark connected first")

// A tracer is a Trace function. Its methods cost next to nothing if it is nil.
type tracer func(Event)

// clock returns the time if anybody wants to know.
func (t tracer) clock() (now time.Time) {
	if t != nil {
		now = time.Now()
	}
	return now
}

// socket tells of one that took from begin until now, with c as what came of it
// unless there is an err.
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

// tell completes e with what became of the socket.
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

// describe fills in what a socket that came up says of itself.
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
