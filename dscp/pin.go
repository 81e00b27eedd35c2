package dscp

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// A pin is the part that Conn and UDPConn share: a live socket and its pinned mark.
type pin struct {
	raw    syscall.RawConn // net's own
	local  net.Addr
	remote net.Addr   // nil on an unconnected socket
	option tos.Option // the option that marks what the socket sends
	cp     CodePoint

	// An unconnected IPv6 socket that has both options marks packets to IPv4 peers
	// with the other one.
	dual bool
	cp4  CodePoint

	datagrams *datagrams // further marks that single datagrams may carry

	family  atomic.Uint32 // of the socket; see familyOf
	watched watch
}

// The values of pin.family.
const (
	familyUnknown uint32 = iota
	familyIPv4
	familyIPv6
)

// set reads the mark of c and pins it.
func (p *pin) set(c interface {
	net.Conn
	syscall.Conn
}) error {
	p.local, p.remote = c.LocalAddr(), c.RemoteAddr()
	// The family of the packets decides, not that of the socket: an IPv6 socket
	// with an IPv4-mapped peer sends IPv4 packets.
	p.option = tos.IPv6TClass
	if isIPv4(p.far()) {
		p.option = tos.IPv4TOS
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return p.opError("pin", err)
	}
	p.raw = raw
	if p.cp, err = p.held(p.option); err != nil {
		return p.opError("pin", err)
	}
	if p.dual = p.option == tos.IPv6TClass && p.remote == nil && tos.Host.MappedTOS; p.dual {
		if p.cp4, err = p.held(tos.IPv4TOS); err != nil {
			return p.opError("pin", err)
		}
	}
	return nil
}

// far returns the address of the peer, or the local address of an unconnected socket.
func (p *pin) far() net.Addr {
	if p.remote != nil {
		return p.remote
	}
	return p.local
}

// pinned returns the mark that opt is pinned at.
func (p *pin) pinned(opt tos.Option) CodePoint {
	if p.dual && opt == tos.IPv4TOS {
		return p.cp4
	}
	return p.cp
}

// marks reports whether opt marks what the socket sends.
func (p *pin) marks(opt tos.Option) bool { return opt == p.option || p.dual }

// familyOf returns the family of the socket, which can differ from that of its packets:
// an IPv6 socket may have an IPv4-mapped peer. It asks the kernel once.
func (p *pin) familyOf(fd uintptr) uint32 {
	if family := p.family.Load(); family != familyUnknown {
		return family
	}
	family := familyIPv4
	switch ipv6, ok := tos.IsIPv6(fd); {
	case !ok:
		return familyUnknown
	case ipv6:
		family = familyIPv6
	}
	p.family.Store(family)
	return family
}

// options returns the options that the socket fd has, which is p's socket or one of the
// same family.
func (p *pin) options(fd uintptr) []tos.Option {
	switch p.familyOf(fd) {
	case familyIPv4:
		return tos.Both[tos.IPv4TOS:tos.IPv6TClass]
	case familyIPv6:
		if !tos.Host.MappedTOS {
			return tos.Both[tos.IPv6TClass:]
		}
	}
	return tos.Both[:]
}

// alive returns net.ErrClosed if the socket is closed and net can tell: on plan9 net
// gives no access to it.
func (p *pin) alive() error {
	if err := p.raw.Control(func(uintptr) {}); errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// held reads the mark from the kernel. It is DF if the socket has no such option.
func (p *pin) held(opt tos.Option) (CodePoint, error) {
	if tos.Host.Unmarkable != "" {
		return DF, p.alive()
	}
	octet, err := opt.Get(p.raw)
	if p.meansNoOption(opt, err) {
		return DF, nil
	}
	return FromTOS(octet), err
}

// holds returns an error if the pinned mark is not cp, to which the socket was set before
// it connected. DF is never set.
func (p *pin) holds(cp CodePoint) error {
	if cp == DF || cp == p.cp {
		return nil
	}
	return p.opError("dial", optionError(p.option, p.network(), cp, notHeld(p.cp.TOS())))
}

// unreadable adds the option and the code point that was asked for to the error of a pin
// that could not read the mark back. It does not change an error from before that.
func (p *pin) unreadable(cp CodePoint, err error) error {
	op, ok := err.(*net.OpError)
	if !ok || p.raw == nil {
		return err
	}
	marked := *op
	marked.Err = optionError(p.option, p.network(), cp, op.Err)
	return &marked
}

// network returns the network that net would pass to a hook of this TCP socket.
func (p *pin) network() string {
	if p.option == tos.IPv4TOS {
		return "tcp4"
	}
	return "tcp6"
}

// meansNoOption reports whether err, of reading opt, means that the socket has no such
// option. For an option that marks nothing of what the socket sends every error does:
// macOS returns EINVAL where others return ENOPROTOOPT. For any other option the error
// may come from a filter of system calls, and the option may hold a mark nevertheless.
func (p *pin) meansNoOption(opt tos.Option, err error) bool {
	if err == nil {
		return false
	}
	if !p.marks(opt) || tos.Host.Unmarkable != "" {
		return true
	}
	if opt == tos.IPv4TOS && !tos.Host.MappedTOS {
		// An IPv6 socket with an IPv4-mapped peer, whose packets nothing can mark.
		if _, err := tos.IPv6TClass.Get(p.raw); err == nil {
			return true
		}
	}
	return isUnsupported(err) && hasNoOption(p.raw, opt)
}

func (p *pin) setDSCP(cp CodePoint) error {
	if err := cp.check(); err != nil {
		return p.opError("set", err)
	}
	if cp != p.cp {
		return p.opError("set", p.midFlow(p.option, cp))
	}
	return nil
}

func (p *pin) verify() error {
	if err := p.verifyOption(p.option); err != nil || !p.dual {
		return err
	}
	return p.verifyOption(tos.IPv4TOS)
}

func (p *pin) verifyOption(opt tos.Option) error {
	cp, err := p.held(opt)
	if err != nil {
		return p.opError("verify", err)
	}
	if pinned := p.pinned(opt); cp != pinned {
		return p.opError("verify", &midFlowError{pinned: pinned, other: cp, changed: true})
	}
	return nil
}

// midFlow is the reason why cp is refused for opt.
func (p *pin) midFlow(opt tos.Option, cp CodePoint) error {
	return &midFlowError{pinned: p.pinned(opt), other: cp}
}

// notInDatagrams is the reason why cp is refused for a single datagram.
func (p *pin) notInDatagrams(opt tos.Option, cp CodePoint) error {
	return &midFlowError{pinned: p.pinned(opt), other: cp, datagram: true}
}

// A midFlowError is an ErrMidFlow that names the code points. Its text is made when it is
// asked for: the guard restores the mark first.
type midFlowError struct {
	pinned, other CodePoint
	changed       bool // whether the kernel holds other; otherwise it was refused
	datagram      bool // whether other was asked for a single datagram
}

func (e *midFlowError) Error() string {
	switch {
	case e.changed:
		return fmt.Sprintf("dscp: the DSCP of a live flow was changed from %v to %v", e.pinned, e.other)
	case e.datagram:
		return fmt.Sprintf("%v from %v to %v (%[3]v is not in Datagrams)", ErrMidFlow, e.pinned, e.other)
	}
	return fmt.Sprintf("%v from %v to %v", ErrMidFlow, e.pinned, e.other)
}

func (e *midFlowError) Unwrap() error { return ErrMidFlow }

// opError names the operation and both ends. It takes the place of an OpError of
// net, so that the addresses appear once.
func (p *pin) opError(op string, err error) error {
	e := &net.OpError{Op: op, Source: p.local, Addr: p.remote, Err: bare(err)}
	if p.local != nil {
		e.Net = p.local.Network()
	}
	return e
}

// isIPv4 reports whether packets to or from a, an address of a TCP or UDP
// socket, are IPv4 packets. An IPv4-mapped address is; the wildcard [::] is not.
func isIPv4(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a != nil && a.IP.To4() != nil
	case *net.UDPAddr:
		return a != nil && a.IP.To4() != nil
	}
	return false
}

// hasNoOption reports whether a socket whose opt could not be read has no such option:
// it is a Multipath TCP socket, or no socket of the family has the option. On a system
// that has not been tested it reports true, since IPv6 sockets may lack IP_TOS there.
func hasNoOption(c syscall.RawConn, opt tos.Option) bool {
	if !tos.Host.Tested || tos.IsMPTCP(c) {
		return true
	}
	none := false
	err := onTrialSocket(opt == tos.IPv6TClass, func(fd uintptr) error {
		_, err := opt.Get(tos.FD(fd))
		none = isUnsupported(err)
		return nil
	})
	return err == nil && none
}

// pinControl checks the control messages in oob that set the TOS or Traffic Class octet.
// It returns oob with the marks to send, or an error if one asks for a mark that the
// datagram may not carry. It does not modify oob: where a mark changes, it returns a
// copy.
func (p *pin) pinControl(oob []byte) ([]byte, error) {
	return tos.RewriteControl(oob, func(opt tos.Option, octet uint8) (uint8, error) {
		cp := FromTOS(octet)
		sent, ok := p.mayCarry(opt, cp)
		if !ok && cp == DF {
			sent, ok = p.pinned(opt), true
		}
		if !ok {
			return 0, p.notInDatagrams(opt, cp)
		}
		return sent.TOS() | octet&ecnMask, nil
	})
}
