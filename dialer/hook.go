package dialer

import (
	"context"
	"net"
	"slices"
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
	hooks = withoutNil(hooks)
	if len(hooks) == 0 {
		return &nd
	}
	own := nd.ControlContext
	if own == nil && nd.Control != nil {
		own = withoutContext(nd.Control)
	}
	nd.Control = nil // ControlContext wins in net: a Control left here would only look as if it ran
	nd.ControlContext = chain(own, hooks)
	return &nd
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
	hooks = withoutNil(hooks)
	if len(hooks) == 0 {
		return &nlc
	}
	var own Hook
	if nlc.Control != nil {
		own = withoutContext(nlc.Control)
	}
	all := chain(own, hooks)
	nlc.Control = func(network, address string, c syscall.RawConn) error {
		return all(context.Background(), network, address, c)
	}
	return &nlc
}

// chain returns a hook that runs first, unless it is nil, and then the others.
func chain(first Hook, others []Hook) Hook {
	if first != nil {
		others = append([]Hook{first}, others...)
	}
	if len(others) == 1 {
		return others[0]
	}
	return func(ctx context.Context, network, address string, c syscall.RawConn) error {
		for _, hook := range others {
			if err := hook(ctx, network, address, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// withoutContext turns a Control function into a Hook.
func withoutContext(control func(network, address string, c syscall.RawConn) error) Hook {
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return control(network, address, c)
	}
}

// withoutNil returns a copy of hooks without the nil ones.
func withoutNil(hooks []Hook) []Hook {
	return slices.DeleteFunc(slices.Clone(hooks), func(h Hook) bool { return h == nil })
}
