package dscp

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/reuseport"
	"github.com/godscp/godscp/internal/tos"
)

// reflected returns the marks for which a listener on the network needs further sockets:
// those of Reflect with NATSafe applied, each once, without DSCP.
func (lc *ListenConfig) reflected(network string) []CodePoint {
	if len(lc.Reflect) == 0 || !isTCP(network) || lc.AllowUnmarked && !canReflect() {
		return nil
	}
	var classes []CodePoint
	for _, cp := range lc.Reflect {
		cp = newMarking(cp, lc.NATSafe, false).cp
		if cp != lc.marking().cp && !slices.Contains(classes, cp) {
			classes = append(classes, cp)
		}
	}
	return classes
}

// canReflect reports whether this system has what Reflect needs.
func canReflect() bool { return reuseport.Supported && tos.Host.Unmarkable == "" }

// checkReflect checks the field Reflect before a socket is made. A code point above 63 is
// an error on every network, a system that cannot reflect on the tcp networks.
func (lc *ListenConfig) checkReflect(network string) error {
	for _, cp := range lc.Reflect {
		if err := cp.check(); err != nil {
			return err
		}
	}
	if classes := lc.reflected(network); len(classes) != 0 && !canReflect() {
		return &UnsupportedError{
			OS: tos.Host.OS, Network: network, Option: "SO_ATTACH_REUSEPORT_CBPF", CodePoint: classes[0],
			Err: errors.New("only Linux can choose a listening socket by the mark of the SYN; leave Reflect empty"),
		}
	}
	return nil
}

// errWrapReflect is the error of Wrap if Reflect has marks.
func errWrapReflect(network string, cp CodePoint) error {
	return &UnsupportedError{
		OS: tos.Host.OS, Network: network, Option: "SO_REUSEPORT", CodePoint: cp,
		Err: errors.New("an existing listener cannot reflect; use Listen, or leave Reflect empty"),
	}
}

// listenGroup is Listen with Reflect: it opens a socket for DSCP and one for each of
// classes.
func (lc *ListenConfig) listenGroup(ctx context.Context, network, address string, classes []CodePoint) (*Listener, error) {
	t := tracer(lc.Trace)
	begin := t.clock()
	members, err := lc.listenMembers(ctx, network, address, classes)
	if err != nil {
		t.socket("listen", network, address, lc.marking().cp, begin, nil, err)
		return nil, err
	}
	first := members[0].TCPListener
	t.socket("listen", network, address, lc.marking().cp, begin, first, nil)
	l := &Listener{
		TCPListener: first, trace: t, network: network, address: address, marking: lc.marking(),
		group: newGroup(members),
	}
	closeUnreachable(l)
	return l, nil
}

// listenMembers opens the sockets of a group in the order of their indexes. Until all
// are open, they lose every SYN, since the BPF program would give the SYNs of a class
// without a socket to any member. If one fails, it closes the others.
func (lc *ListenConfig) listenMembers(ctx context.Context, network, address string, classes []CodePoint) (members []member, err error) {
	defer func() {
		if err != nil {
			for _, m := range members {
				m.Close()
			}
			members = nil
		}
	}()
	octets := make([]uint8, len(classes))
	for i, cp := range classes {
		octets[i] = cp.TOS()
	}
	lead := func(c syscall.RawConn) error { return reuseport.Lead(c, octets) }
	first, err := lc.listenMember(ctx, network, address, lc.marking().cp, lc.marking().hook(), lead)
	if err != nil {
		return nil, err
	}
	members = append(members, first)
	for _, cp := range classes {
		m, err := lc.listenMember(ctx, network, first.Addr().String(), cp, lc.classHook(cp), reuseport.Join)
		if err != nil {
			return members, err
		}
		members = append(members, m)
	}
	for _, m := range members {
		if err := m.release(); err != nil {
			return members, opError("listen", network, first.Addr().String(), groupError(network, m.class, err))
		}
	}
	return members, nil
}

// listenMember opens one socket of a group, which loses its SYNs until it is released.
func (lc *ListenConfig) listenMember(
	ctx context.Context, network, address string, cp CodePoint, mark dialer.Hook, join func(syscall.RawConn) error,
) (member, error) {
	m := member{class: cp}
	group := func(_ context.Context, network, _ string, c syscall.RawConn) error {
		err := join(c)
		if err == nil {
			m.held, err = reuseport.Hold(c)
		}
		if err != nil {
			return groupError(network, cp, err)
		}
		return nil
	}
	nlc := dialer.WithListen(lc.NetListenConfig, mark, saveSYNHook, group)
	nlc.SetMultipathTCP(false)
	l, err := nlc.Listen(ctx, network, address)
	if err != nil {
		return member{}, err
	}
	m.TCPListener = l.(*net.TCPListener)
	return m, nil
}

// classHook returns the hook that marks the socket for a mark of Reflect. DF is set like
// any other mark, over a mark that the caller's own hook has set.
func (lc *ListenConfig) classHook(cp CodePoint) dialer.Hook {
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return lc.marking().tolerate(mark(network, address, cp, c, true))
	}
}

// groupError returns an UnsupportedError or a MarkError for a socket that cannot join a
// group because of err.
func groupError(network string, cp CodePoint, err error) error {
	option := "SO_REUSEPORT"
	if refused, ok := errors.AsType[*reuseport.Error](err); ok {
		option, err = refused.Option, refused.Err
	}
	if isUnsupported(err) {
		return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: option, CodePoint: cp, Err: err}
	}
	return &MarkError{CodePoint: cp, Option: option, Err: err}
}
