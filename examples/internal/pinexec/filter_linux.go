//go:build amd64 || arm64

package pinexec

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/seccomp"
)

// Constants that x/sys/unix does not have.
const (
	afSMC            = 43
	flowinfoSend     = 33  // IPV6_FLOWINFO_SEND: a destination address can then carry a traffic class
	socketTypeMask   = 0xf // the other bits are flags
	socketTypePacket = 10  // SOCK_PACKET, which makes a packet socket in AF_INET
)

// An outcome is the result of a socket(2).
type outcome int

const (
	passes  outcome = iota // the kernel makes the socket, unmarked
	refused                // the call fails with an errno
	marked                 // the supervisor makes the socket
)

// outcomeOf decides about a socket(2) whose arguments the filter cannot read. It
// decides as filterSocket does.
func outcomeOf(domain, typ, protocol uint32) (outcome, syscall.Errno) {
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

// remarks reports whether setting the option can change the mark.
func remarks(level, option uint32) bool {
	return level == unix.IPPROTO_IP && option == unix.IP_TOS ||
		level == unix.IPPROTO_IPV6 && (option == unix.IPV6_TCLASS || option == flowinfoSend)
}

// filter returns the program's filter. Setting an option that re-marks fails with
// refusal or, if that is 0, does nothing and succeeds. If supervised is true, the
// filter asks the supervisor for the sockets to be marked.
func filter(supervised bool, refusal syscall.Errno) *seccomp.Program {
	p := new(seccomp.Program)
	for _, abi := range seccomp.ABIs() {
		p.In(abi, func() {
			p.RefuseURing() // it makes sockets and sets options without system calls
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
	p.Return(seccomp.Errno(unix.ENOSYS)) // a call of an unknown ABI
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
	// An SMC socket has an internal TCP socket, which no option can mark.
	p.When(func() { p.Return(seccomp.Errno(unix.EAFNOSUPPORT)) }, domain.Is(afSMC))
	p.When(pass, domain.IsNot(unix.AF_INET), domain.IsNot(unix.AF_INET6))
	// Linux cannot mark IPv6 on MPTCP sockets. Programs fall back to TCP.
	p.When(func() { p.Return(seccomp.Errno(unix.EPROTONOSUPPORT)) }, protocol.Is(unix.IPPROTO_MPTCP))
	// The caller's privileges decide about these, so the supervisor must not make
	// them.
	p.When(pass, typ.Is(unix.SOCK_RAW))
	p.When(pass, typ.Is(socketTypePacket))
	p.When(pass, protocol.Is(unix.IPPROTO_ICMP))
	p.When(pass, protocol.Is(unix.IPPROTO_ICMPV6))
	p.Return(seccomp.Notify)
}

// filterSocketcall sends socketcall(2) to the supervisor, which reads the arguments
// from the caller's memory. Without a supervisor no option can be set this way.
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
