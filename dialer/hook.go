package dialer

import (
	"context"
	"net"
	"syscall"
)

// A Hook is called with a socket that exists but is not yet connected, bound or
// listening. It has the type of [net.Dialer.ControlContext].
//
// The network is "tcp4", "tcp6", "udp4", "udp6", "ip4", "ip6" or one of the
// unix networks: net has chosen the family by then. A socket for both families,
// of a wildcard listener or of unconnected UDP, has the network "tcp6" or "udp6".
// An error stops the dial or the listen and reaches the caller inside a
// [net.OpError].
//
// One dial can run its hooks several times, and from several goroutines at once:
// for each address that a name resolves to, for both families under Happy
// Eyeballs (RFC 6555), for the retry after a connection to itself, and once more
// when net replaces a Multipath TCP socket by a plain one. A Hook must therefore be
// safe for concurrent use and must not keep state about one socket.
//
// On plan9, net runs no hooks. On js and wasip1, net fails every dial that has a
// hook, and runs none for listeners.
type Hook = func(ctx context.Context, network, address string, c syscall.RawConn) error

// With returns a copy of d that runs hooks, in order, on each socket before it
// connects. The function that d has runs first: ControlContext if it is set, else
// Control, as in net. The first error ends the chain and the dial.
//
// A nil d means the zero [net.Dialer]. With does not change d, and later changes
// of d or of the slice hooks do not affect the copy. Nil hooks are left out;
// without any hook the copy equals d. Several goroutines may use the copy at once.
func With(d *net.Dialer, hooks ...Hook) *net.Dialer {
	var nd net.Dialer
	if d != nil {
		nd = *d
	}
	add(&nd, hooks)
	return &nd
}

// add is the part of With that the compiler does not inline. So With itself is
// inlined, and the copy stays on the stack of a caller that only dials with it.
func add(nd *net.Dialer, hooks []Hook) {
	ours := chain(hooks)
	if ours == nil {
		return
	}
	own := nd.ControlContext
	if own == nil && nd.Control != nil {
		own = withoutContext(nd.Control)
	}
	nd.Control = nil // net ignores it beside ControlContext
	nd.ControlContext = then(own, ours)
}

// WithListen returns a copy of lc that runs hooks, in order, on each socket before
// it binds. The Control function that lc has runs first; the first error ends the
// chain and the listen.
//
// net passes no context to a listener's hook, so hooks get [context.Background]. A
// nil lc means the zero [net.ListenConfig]. As with [With], lc is not changed, nil
// hooks are left out, and several goroutines may use the copy at once.
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

// chain returns a hook that runs the hooks that are not nil, in order. It returns
// nil if there is none.
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
