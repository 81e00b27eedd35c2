package dialer

import (
	"context"
	"net"
	"syscall"
)

// A Hook looks at a socket that exists but is not yet connected, bound or
// listening. It has the shape of [net.Dialer.ControlContext].
//
// The network is "tcp4", "tcp6", "udp4", "udp6", "ip4", "ip6" or one of the
// unix networks: net has chosen the family by then. Sockets of both families
// that a wildcard listener or an unconnected UDP socket uses arrive as "tcp6"
// and "udp6". An error stops the dial or the listen and reaches the caller
// inside a [net.OpError].
//
// One dial can run its hooks several times, and at the same time from several
// goroutines: for each address that a name resolves to, for both families under
// Happy Eyeballs, for the retry after a connection to itself, and once more
// when a Multipath TCP socket gives way to a plain one. A Hook therefore must be
// safe for concurrent use and must not keep state about "the" socket.
//
// net runs no hooks on plan9. On js and wasip1 it fails every dial that has one,
// and runs none for listeners.
type Hook = func(ctx context.Context, network, address string, c syscall.RawConn) error

// With returns a copy of d whose sockets pass through hooks, in order, before
// they connect. The hook that d has runs first, in the way net would have run
// it: ControlContext if it is set, else Control. The first error ends the chain
// and the dial.
//
// A nil d means the zero [net.Dialer]. d itself is not changed, and later
// changes of d or of the slice behind hooks do not reach the copy. Nil hooks
// are left out; without any hook the copy has just what d had.
func With(d *net.Dialer, hooks ...Hook) *net.Dialer {
	var nd net.Dialer
	if d != nil {
		nd = *d
	}
	add(&nd, hooks)
	return &nd
}

// add is the part of With that the compiler does not inline: so the copy stays
// on the stack of a caller that only dials with it.
func add(nd *net.Dialer, hooks []Hook) {
	ours := chain(hooks)
	if ours == nil {
		return
	}
	own := nd.ControlContext
	if own == nil && nd.Control != nil {
		own = withoutContext(nd.Control)
	}
	nd.Control = nil // ControlContext wins in net: a Control left here would only look as if it ran
	nd.ControlContext = then(own, ours)
}

// WithListen returns a copy of lc whose sockets pass through hooks, in order,
// before they bind. The Control function that lc has runs first; the first error
// ends the chain and the listen.
//
// net gives a listening hook no context, so hooks get [context.Background]. A
// nil lc means the zero [net.ListenConfig]. As with [With], lc is not changed
// and nil hooks are left out.
func WithListen(lc *net.ListenConfig, hooks ...Hook) *net.ListenConfig {
	var nlc net.ListenConfig
	if lc != nil {
		nlc = *lc
	}
	ours := chain(hooks)
	if ours == nil {
		return &nlc
	}
	var own Hook
	if nlc.Control != nil {
		own = withoutContext(nlc.Control)
	}
	all := then(own, ours)
	nlc.Control = func(network, address string, c syscall.RawConn) error {
		return all(context.Background(), network, address, c)
	}
	return &nlc
}

// chain returns a hook that runs those that are not nil, in order, or nil if all
// are.
func chain(hooks []Hook) (all Hook) {
	for _, next := range hooks {
		if next != nil {
			all = then(all, next)
		}
	}
	return all
}

// then returns a hook that runs first, unless it is nil, and next.
func then(first, next Hook) Hook {
	if first == nil {
		return next
	}
	return func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := first(ctx, network, address, c); err != nil {
			return err
		}
		return next(ctx, network, address, c)
	}
}

// withoutContext turns a Control function into a Hook.
func withoutContext(control func(network, address string, c syscall.RawConn) error) Hook {
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return control(network, address, c)
	}
}
