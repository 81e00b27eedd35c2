package tos

import (
	"errors"
	"runtime"
	"strings"
)

// A Platform says what one operating system does with marks. The sources are
// the kernels' own and x/net's option tables; the table in the comment of package
// dscp says the same in words.
type Platform struct {
	OS string // as in runtime.GOOS

	// Unmarkable tells why no socket can be marked there; empty where they can.
	// Where it is set, no hook is run and no option is tried.
	Unmarkable string

	// MappedTOS says that an AF_INET6 socket takes IP_TOS, which its
	// IPv4-mapped peers need. macOS and the BSDs answer EINVAL, and OpenBSD
	// kills a pledged process for trying.
	MappedTOS bool

	// RefusesAfterReset says that a socket which its peer has reset refuses every
	// option.
	RefusesAfterReset bool

	// Tested says that this module has been run there: a socket holds the mark
	// that it took, and one that lacks an option does so for a known reason.
	Tested bool

	// Receive has, by Option, how the system tells the octets of received packets.
	Receive [2]ReceiveOption

	// MessageValue has, by Option, how many bytes the value of the control message
	// has that sets the octet of one datagram; 0 where the system takes none.
	MessageValue [2]int
}

// Host is the platform that this program runs on. Only tests change it.
var Host = PlatformOf(runtime.GOOS)

// PlatformOf returns what is known of a system, which has the name that
// runtime.GOOS gives it.
func PlatformOf(goos string) Platform {
	p := Platform{OS: goos, Receive: receiveOptionsOf(goos), MessageValue: messageValueOf(goos)}
	switch goos {
	case "linux", "android":
		p.MappedTOS, p.Tested = true, true
	case "darwin", "ios", "freebsd", "netbsd", "openbsd", "dragonfly":
		p.RefusesAfterReset = true
	case "solaris", "illumos", "aix":
		// Not confirmed for these kernels. Trying is honest: where they
		// refuse, their error is returned.
		p.MappedTOS = true
	case "windows":
		p.Unmarkable = "the system accepts the option and ignores it; use a policy-based QoS rule instead"
	case "js", "wasip1", "plan9":
		p.Unmarkable = "package net cannot reach the socket before it connects"
	default:
		p.Unmarkable = "not known to mark packets"
	}
	return p
}

// Options returns the options that mark a socket. The network is one that net
// gives to a hook, so its last letter is the family of the socket. peers says
// which families the socket can exchange packets with, as far as the address
// tells; v6only is asked only where that leaves the question open. The error is a
// [MissingError] where the system lacks what the socket needs, or that of v6only.
func (p Platform) Options(network string, peers Peers, v6only func() (bool, error)) ([]Option, error) {
	opts, err := needed(network, peers, v6only)
	if len(opts) == 2 && !p.MappedTOS {
		return nil, &MissingError{
			IPv4TOS.String(), "an IPv6 socket cannot mark packets to IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead",
		}
	}
	return opts, err
}

// needed returns the options of the families that a socket can exchange packets
// with: both where an IPv6 socket has, or may have, IPv4 peers. A raw IPv6 socket
// never has: Linux knows no IP_TOS there.
func needed(network string, peers Peers, v6only func() (bool, error)) ([]Option, error) {
	if !strings.HasSuffix(network, "6") {
		return ipv4Only, nil
	}
	if network == "ip6" {
		return ipv6Only, nil
	}
	if peers == AnyPeers {
		only, err := v6only()
		if err != nil {
			return nil, err
		}
		if only {
			peers = IPv6Peers
		}
	}
	if peers == IPv6Peers {
		return ipv6Only, nil
	}
	return dualStack, nil
}

// What needed returns; nobody changes them.
var (
	ipv4Only  = []Option{IPv4TOS}
	ipv6Only  = []Option{IPv6TClass}
	dualStack = []Option{IPv6TClass, IPv4TOS}
)

// A MissingError says that a system lacks a socket option, or does not take it for
// one kind of socket. It matches [errors.ErrUnsupported].
type MissingError struct {
	Option string // its name in C
	Reason string
}

func (e *MissingError) Error() string { return e.Option + ": " + e.Reason }

// Is reports whether target is [errors.ErrUnsupported].
func (e *MissingError) Is(target error) bool { return target == errors.ErrUnsupported }

// IsUnsupported reports whether err, of a system call, says that the system or the
// socket lacks the option, rather than that it was refused this time.
func IsUnsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || noSuchOption(err)
}
