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

// A marking is what a Dialer or a ListenConfig wants done to its sockets.
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

// check finds, before there is a socket, what would fail on every one.
func (m marking) check(network string) error {
	if err := m.cp.check(); err != nil {
		return err
	}
	if m.allowUnmarked {
		return nil
	}
	return checkHost(network, m.cp)
}

// hook returns the hook that marks a socket, or nil where there is nothing to
// mark: on js and wasip1 net fails every dial that has a hook.
func (m marking) hook() dialer.Hook {
	if m.nothingToMark() {
		return nil
	}
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return m.apply(network, address, c)
	}
}

// dialHook is hook for a dial with Multipath TCP switched off whose conn goes
// through pinDialed. Of TCP sockets it neither asks the protocol nor reads back
// the mark, which pinning does anyway: that leaves one system call before
// connect and one after. (A system that makes Multipath TCP of every TCP socket
// by itself is taken for one that does not.)
func (m marking) dialHook() dialer.Hook {
	if m.nothingToMark() || !m.cp.Valid() || !tos.Host.Tested {
		return m.hook()
	}
	return dialHooks()[m]
}

// keepMPTCPOut does beforehand what the hook would bring about, without a socket
// made in vain.
func (m marking) keepMPTCPOut(nd *net.Dialer) {
	if !m.nothingToMark() {
		nd.SetMultipathTCP(false)
	}
}

// dialHooks makes the hooks of all markings once, so that a dial need not.
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

// nothingToMark reports whether there is nothing to mark, or nothing to mark with.
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
	// On this error net tries again with a plain TCP socket, so it holds for
	// AllowUnmarked too: to go on would leave IPv6 peers unmarked.
	if isTCP(network) && tos.IsMPTCP(c) {
		return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: "IPPROTO_MPTCP", CodePoint: m.cp, Err: errMPTCP}
	}
	return m.tolerate(mark(network, address, m.cp, c, true))
}

// errMPTCP is the reason why a Multipath TCP socket is refused.
var errMPTCP = errors.New("marks do not hold on every subflow; use SetMultipathTCP(false)")

// tolerate returns err unless the caller takes unmarked sockets.
func (m marking) tolerate(err error) error {
	if m.allowUnmarked {
		return nil
	}
	return err
}

// mark sets the options that mark the socket, and reads them back if told so.
func mark(network, address string, cp CodePoint, c syscall.RawConn, readBack bool) error {
	if isSealed() && isTCP(network) && tos.Connected(c) {
		return errSealedConnected // the kernel lets this package set what it likes
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

// optionError puts the reason why opt does not hold cp into an error of its kind.
func optionError(opt tos.Option, network string, cp CodePoint, err error) error {
	err = bare(err)
	if isUnsupported(err) {
		return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: opt.String(), CodePoint: cp, Err: err}
	}
	return &MarkError{CodePoint: cp, Option: opt.String(), Err: err}
}

// unsupportedOption adds to missing what only this package knows.
func unsupportedOption(missing *tos.MissingError, network string, cp CodePoint) error {
	return &UnsupportedError{
		OS: tos.Host.OS, Network: network, Option: missing.Option, CodePoint: cp, Err: errors.New(missing.Reason),
	}
}

// errNotHeld says that the system took an option and did not keep it.
var errNotHeld = errors.New("the kernel accepted the DSCP but does not hold it")

// setMark sets opt to cp, and reads it back if told so.
func setMark(opt tos.Option, cp CodePoint, c syscall.RawConn, stream, readBack bool) error {
	octet := cp.TOS()
	if !stream {
		// On datagram sockets the ECN bits are the application's; on TCP the
		// kernel keeps them out of our reach by itself.
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

// notHeld is the error of a socket that octet is read back from instead. If that
// is a mark, the system has the option: under pinexec all sockets keep one mark.
func notHeld(octet uint8) error {
	if cp := FromTOS(octet); cp != DF {
		return fmt.Errorf("the socket stays at %v (0x%02x), as it does under pinexec", cp, octet)
	}
	return fmt.Errorf("%w: read back 0x%02x", errNotHeld, octet)
}

func notInherited(octet uint8) error {
	return fmt.Errorf("the accepted connection has %v (0x%02x) instead of the listener's mark", FromTOS(octet), octet)
}

// isUnsupported reports whether err says that the system lacks the option, rather
// than that it refused it this time.
func isUnsupported(err error) bool {
	return errors.Is(err, errNotHeld) || tos.IsUnsupported(err)
}

// Control returns a function for the Control field of a [net.Dialer] or a
// [net.ListenConfig] of your own: it marks the socket with cp before it connects
// or binds. What net makes of it is a bare conn: nothing pins the mark.
//
//   - It returns what [Dialer] would: an error for a cp above 63, an
//     [UnsupportedError] where the system cannot mark, a [MarkError] where it
//     refuses.
//   - A Multipath TCP socket is refused, and net goes on with a plain one. net's
//     listeners ask for Multipath TCP first; on such sockets Linux cannot mark
//     IPv6.
//   - For DF it does nothing. Leave the field nil instead: on js and wasip1
//     net fails every dial that has a Control function.
//   - On plan9, and for listeners on js and wasip1, net never calls it, so it
//     cannot fail: the socket stays unmarked.
//
// If you have a Control function already, chain them with package dialer.
func Control(cp CodePoint) func(network, address string, c syscall.RawConn) error {
	m := marking{cp: cp}
	return func(network, address string, c syscall.RawConn) error {
		if cp == DF {
			return nil
		}
		return m.apply(network, address, c)
	}
}

// markable reports whether network is one of the Internet networks. The others,
// unix and whatever net does not know, pass through untouched.
func markable(network string) bool {
	return strings.HasPrefix(network, "tcp") || strings.HasPrefix(network, "udp") || strings.HasPrefix(network, "ip")
}

// isTCP reports whether network is one of TCP's.
func isTCP(network string) bool { return strings.HasPrefix(network, "tcp") }

// checkHost returns an UnsupportedError where no socket of the network can be
// marked on this system, whatever its address.
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
