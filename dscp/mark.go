package dscp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/tos"
)

// A marking is the part of a Dialer or a ListenConfig that says how to mark.
type marking struct {
	cp            CodePoint // with NATSafe applied
	allowUnmarked bool
}

func newMarking(cp CodePoint, natSafe, allowUnmarked bool) marking {
	if natSafe {
		cp = cp.NATSafe()
	}
	return marking{cp, allowUnmarked}
}

// check returns an error that every socket of the network would fail with.
func (m marking) check(network string) error {
	if err := m.cp.check(); err != nil {
		return err
	}
	if m.allowUnmarked {
		return nil
	}
	return checkHost(network, m.cp)
}

// hook returns the hook that marks a socket. It returns nil if there is nothing to mark,
// since on js and wasip1 net fails every dial that has a hook.
func (m marking) hook() dialer.Hook {
	if m.nothingToMark() {
		return nil
	}
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return m.apply(network, address, c)
	}
}

// dialHook is hook for a dial with Multipath TCP switched off whose conn goes through
// pinDialed. For a TCP socket it neither asks for the protocol nor reads back the mark,
// since pinning reads the mark: that leaves one system call before connect and one
// after. (So it does not notice a system that makes every TCP socket a Multipath TCP
// one.)
func (m marking) dialHook() dialer.Hook {
	if m.nothingToMark() || !m.cp.Valid() || !tos.Host.Tested {
		return m.hook()
	}
	return dialHooks()[m]
}

// keepMPTCPOut switches Multipath TCP off. Without it the hook would refuse the first
// socket, and net would make a second, plain one.
func (m marking) keepMPTCPOut(nd *net.Dialer) {
	if !m.nothingToMark() {
		nd.SetMultipathTCP(false)
	}
}

// dialHooks makes the hooks of all markings once, which saves each dial an allocation.
var dialHooks = sync.OnceValue(func() map[marking]dialer.Hook {
	hooks := map[marking]dialer.Hook{}
	for cp := range maxCodePoint + 1 {
		for _, m := range []marking{{cp, false}, {cp, true}} {
			hooks[m] = func(_ context.Context, network, address string, c syscall.RawConn) error {
				if !isTCP(network) {
					return m.apply(network, address, c)
				}
				return m.tolerate(mark(network, address, m.cp, c, false))
			}
		}
	}
	return hooks
})

// nothingToMark reports whether no mark was asked for, or none can be set and
// AllowUnmarked is set.
func (m marking) nothingToMark() bool {
	return m.cp == DF || m.allowUnmarked && m.cp.Valid() && tos.Host.Unmarkable != ""
}

// apply marks a socket that is about to connect, bind or listen.
func (m marking) apply(network, address string, c syscall.RawConn) error {
	if !markable(network) {
		return nil
	}
	if err := m.check(network); err != nil {
		return err
	}
	// On this error net tries again with a plain TCP socket. So it is returned even
	// with AllowUnmarked: otherwise IPv6 peers would stay unmarked.
	if isTCP(network) && tos.IsMPTCP(c) {
		return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: "IPPROTO_MPTCP", CodePoint: m.cp, Err: errMPTCP}
	}
	return m.tolerate(mark(network, address, m.cp, c, true))
}

// errMPTCP is the reason why a Multipath TCP socket is refused.
var errMPTCP = errors.New("marks do not hold on every subflow; use SetMultipathTCP(false)")

// tolerate returns err, or nil with AllowUnmarked.
func (m marking) tolerate(err error) error {
	if m.allowUnmarked {
		return nil
	}
	return err
}

// mark sets the options that mark the socket, and reads them back if readBack is true.
func mark(network, address string, cp CodePoint, c syscall.RawConn, readBack bool) error {
	if isSealed() && isTCP(network) && tos.Connected(c) {
		return errSealedConnected // the kernel would let this package change the mark
	}
	opts, err := tos.Host.Options(network, tos.PeersOf(address), func() (bool, error) { return tos.V6Only(c) })
	if missing, ok := errors.AsType[*tos.MissingError](err); ok {
		return unsupportedOption(missing, network, cp)
	}
	if err != nil {
		return &MarkError{CodePoint: cp, Option: "IPV6_V6ONLY", Err: bare(err)}
	}
	for _, opt := range opts {
		if err := setMark(opt, cp, c, isTCP(network), readBack); err != nil {
			return optionError(opt, network, cp, err)
		}
	}
	return nil
}

// optionError returns an UnsupportedError or a MarkError for the reason err why opt does
// not hold cp.
func optionError(opt tos.Option, network string, cp CodePoint, err error) error {
	err = bare(err)
	if isUnsupported(err) {
		return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: opt.String(), CodePoint: cp, Err: err}
	}
	return &MarkError{CodePoint: cp, Option: opt.String(), Err: err}
}

// unsupportedOption turns missing into an UnsupportedError.
func unsupportedOption(missing *tos.MissingError, network string, cp CodePoint) error {
	return &UnsupportedError{
		OS: tos.Host.OS, Network: network, Option: missing.Option, CodePoint: cp, Err: errors.New(missing.Reason),
	}
}

// errNotHeld is the error of an option that the system accepted and did not keep.
var errNotHeld = errors.New("the kernel accepted the DSCP but does not hold it")

// setMark sets opt to cp, and reads it back if readBack is true.
func setMark(opt tos.Option, cp CodePoint, c syscall.RawConn, stream, readBack bool) error {
	octet := cp.TOS()
	if !stream {
		// On datagram sockets the application sets the ECN bits; on TCP sockets the
		// kernel does not let them be set.
		held, err := opt.Get(c)
		if err != nil {
			return err
		}
		octet |= held & ecnMask
	}
	if err := opt.Set(c, octet); err != nil || !readBack {
		return err
	}
	held, err := opt.Get(c)
	if err != nil {
		return err
	}
	if FromTOS(held) != cp {
		return notHeld(held)
	}
	return nil
}

// notHeld is the error if octet was read back instead of the mark. If it is another
// mark, the system has the option: under examples/pinexec all sockets keep one mark.
func notHeld(octet uint8) error {
	if cp := FromTOS(octet); cp != DF {
		return fmt.Errorf("the socket stays at %v (0x%02x), as it does under pinexec", cp, octet)
	}
	return fmt.Errorf("%w: read back 0x%02x", errNotHeld, octet)
}

// notInherited is the error of an accepted connection that has octet.
func notInherited(octet uint8) error {
	return fmt.Errorf("the accepted connection has %v (0x%02x) instead of the listener's mark", FromTOS(octet), octet)
}

// isUnsupported reports whether err means that the system lacks the option.
func isUnsupported(err error) bool {
	return errors.Is(err, errNotHeld) || tos.IsUnsupported(err)
}

// Control returns a function for the Control field of a [net.Dialer] or a
// [net.ListenConfig]. The function marks the socket with cp before it connects or
// binds. The conn is net's: it does not pin the mark.
//
//   - The function returns the errors of [Dialer]: one that matches [ErrRange] if cp
//     is above 63, an [UnsupportedError] where the system cannot mark, a [MarkError]
//     where it refuses.
//   - It refuses a Multipath TCP socket, on which Linux cannot mark IPv6 packets. net
//     then makes a plain TCP socket. net's listeners try Multipath TCP first.
//   - If cp is DF, the function does nothing. Leave the field nil instead: on js and
//     wasip1, net fails every dial that has a Control function.
//   - On plan9, and for listeners on js and wasip1, net does not call it, so the
//     socket stays unmarked without an error.
//
// Several goroutines may call the function at once. To combine it with another Control
// function, use package dialer.
func Control(cp CodePoint) func(network, address string, c syscall.RawConn) error {
	m := marking{cp: cp}
	return func(network, address string, c syscall.RawConn) error {
		if cp == DF {
			return nil
		}
		return m.apply(network, address, c)
	}
}

// markable reports whether network is one of the tcp, udp and ip networks. Sockets of
// the unix networks are not marked, and net reports unknown networks.
func markable(network string) bool {
	return strings.HasPrefix(network, "tcp") || strings.HasPrefix(network, "udp") || strings.HasPrefix(network, "ip")
}

// isTCP reports whether network is one of the tcp networks.
func isTCP(network string) bool { return strings.HasPrefix(network, "tcp") }

// checkHost returns an UnsupportedError if this system can mark no socket of the
// network.
func checkHost(network string, cp CodePoint) error {
	if tos.Host.Unmarkable == "" || cp == DF || !markable(network) {
		return nil
	}
	opt := tos.IPv4TOS
	if family, _, _ := strings.Cut(network, ":"); strings.HasSuffix(family, "6") { // "ip6:ipv6-icmp"
		opt = tos.IPv6TClass
	}
	return unsupportedOption(&tos.MissingError{Option: opt.String(), Reason: tos.Host.Unmarkable}, network, cp)
}
