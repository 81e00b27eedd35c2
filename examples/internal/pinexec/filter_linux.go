//go:build amd64 || arm64

package pinexec

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/seccomp"
)

// Missing in x/sys/unix.
const (
	afSMC            = 43
	flowinfoSend     = 33  // IPV6_FLOWINFO_SEND: a sender's address then has a traffic class
	socketTypeMask   = 0xf // what is left are flags
	socketTypePacket = 10  // SOCK_PACKET, which makes a packet socket of an AF_INET
)

// A fate is what becomes of a socket(2).
type fate int

const (
	passes  fate = iota // the kernel makes the socket, unmarked
	refused             // with an errno
	marked              // the supervisor makes it
)

// fateOf says what becomes of a socket that the supervisor is asked for although
// no filter could look at it. It decides as filter does.
func fateOf(domain, typ, protocol uint32) (fate, syscall.Errno) {
	switch {
	case domain == afSMC:
		return refused, unix.EAFNOSUPPORT
	case domain != unix.AF_INET && domain != unix.AF_INET6:
		return passes, 0
	case protocol == unix.IPPROTO_MPTCP:
		return refused, unix.EPROTONOSUPPORT
	case typ&socketTypeMask == unix.SOCK_RAW, typ&socketTypeMask == socketTypePacket,
		protocol == unix.IPPROTO_ICMP, protocol == unix.IPPROTO_ICMPV6:
		return passes, 0
	}
	return marked, 0
}

// remarks reports whether setsockopt(2) of that option can change the mark.
func remarks(level, option uint32) bool {
	return level == unix.IPPROTO_IP && option == unix.IP_TOS ||
		level == unix.IPPROTO_IPV6 && (option == unix.IPV6_TCLASS || option == flowinfoSend)
}

// filter returns the filter that the program is under. An option that re-marks
// fails with refusal, or, if that is 0, does nothing and succeeds. If sockets are
// supervised, the listener is asked for those to be marked.
func filter(supervised bool, refusal syscall.Errno) *seccomp.Program {
	p := new(seccomp.Program)
	for _, abi := range seccomp.ABIs() {
		p.In(abi, func() {
			p.RefuseURing() // makes sockets, and sets their options, with no call to see
			p.When(func() { filterSetsockopt(p, refusal) }, seccomp.Number.Is(abi.Setsockopt))
			if supervised {
				p.When(func() { filterSocket(p) }, seccomp.Number.Is(abi.Socket))
			}
			if abi.Socketcall != 0 {
				p.When(func() { filterSocketcall(p, supervised) }, seccomp.Number.Is(abi.Socketcall))
			}
			p.Return(seccomp.Allow)
		})
	}
	p.Return(seccomp.Errno(unix.ENOSYS)) // of an ABI that is not known
	return p
}

func filterSetsockopt(p *seccomp.Program, refusal syscall.Errno) {
	refuse := func() { p.Return(seccomp.Errno(refusal)) }
	level, option := seccomp.Arg(1), seccomp.Arg(2)
	p.When(refuse, level.Is(unix.IPPROTO_IP), option.Is(unix.IP_TOS))
	p.When(func() {
		p.When(refuse, option.Is(unix.IPV6_TCLASS))
		p.When(refuse, option.Is(flowinfoSend))
	}, level.Is(unix.IPPROTO_IPV6))
	p.Return(seccomp.Allow)
}

func filterSocket(p *seccomp.Program) {
	pass := func() { p.Return(seccomp.Allow) }
	domain, typ, protocol := seccomp.Arg(0), seccomp.Arg(1).Bits(socketTypeMask), seccomp.Arg(2)
	// Of these the TCP connection is the kernel's own, which nobody can mark.
	p.When(func() { p.Return(seccomp.Errno(unix.EAFNOSUPPORT)) }, domain.Is(afSMC))
	p.When(pass, domain.IsNot(unix.AF_INET), domain.IsNot(unix.AF_INET6))
	// Linux cannot mark IPv6 on these. Programs that ask for them go on with TCP.
	p.When(func() { p.Return(seccomp.Errno(unix.EPROTONOSUPPORT)) }, protocol.Is(unix.IPPROTO_MPTCP))
	// Who may have these depends on the caller, so that the supervisor must not
	// make them.
	p.When(pass, typ.Is(unix.SOCK_RAW))
	p.When(pass, typ.Is(socketTypePacket))
	p.When(pass, protocol.Is(unix.IPPROTO_ICMP))
	p.When(pass, protocol.Is(unix.IPPROTO_ICMPV6))
	p.Return(seccomp.Notify)
}

// filterSocketcall asks about calls whose arguments lie in memory. Without a
// supervisor there is nobody to look at them, so that no option can be set.
func filterSocketcall(p *seccomp.Program, supervised bool) {
	call := seccomp.Arg(0)
	if supervised {
		p.When(func() { p.Return(seccomp.Notify) }, call.Is(seccomp.SocketcallSocket))
		p.When(func() { p.Return(seccomp.Notify) }, call.Is(seccomp.SocketcallSetsockopt))
	} else {
		p.When(func() { p.Return(seccomp.Errno(unix.ENOSYS)) }, call.Is(seccomp.SocketcallSetsockopt))
	}
	p.Return(seccomp.Allow)
}
