package tos

import (
	"errors"
	"runtime"
	"strings"
)

// A Platform says what one operating system does with marks. The sources are the
// sources of the kernels, and x/net's option tables. The table in the documentation of
// package dscp says the same in words.
type Platform struct {
	OS string // as in runtime.GOOS

	// Unmarkable says why no socket can be marked; it is empty where they can.
	// If it is set, no hook is run and no option is tried.
	Unmarkable string

	// MappedTOS says that an AF_INET6 socket takes IP_TOS, which marks packets
	// to IPv4-mapped peers. macOS and the BSDs return EINVAL, and OpenBSD
	// kills a pledged process that tries.
	MappedTOS bool

	// RefusesAfterReset says that a socket refuses every option after its peer
	// has reset the connection.
	RefusesAfterReset bool

	// Tested says that this module has been run there: a socket holds the mark
	// that it took, and one that lacks an option does so for a known reason.
	Tested bool

	// Receive has, by Option, how the system reports the octets of received
	// packets.
	Receive [2]ReceiveOption

	// MessageValue has, by Option, the length in bytes of the value of the control
	// message that sets the octet of one datagram; 0 if the system takes none.
	MessageValue [2]int
}

// Host is the platform that this program runs on. Only tests change it.
var Host = PlatformOf(runtime.GOOS)

// PlatformOf returns what is known of the system that runtime.GOOS calls goos.
func PlatformOf(goos string) Platform {
	p := Platform{OS: goos, Receive: receiveOptionsOf(goos), MessageValue: messageValueOf(goos)}
	switch goos {
	case "linux", "android":
		p.MappedTOS, p.Tested = true, true
	case "darwin", "ios", "freebsd", "netbsd", "openbsd", "dragonfly":
		p.RefusesAfterReset = true
	case "solaris", "illumos", "aix":
		// Not confirmed for these kernels. If they refuse, the caller gets
		// their error.
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

// Options returns the options that mark a socket. network is one that net passes to a
// hook, so its last character is the family of the socket. peers says with which
// families the socket can exchange packets, as far as its address shows. Options calls
// v6only if peers is AnyPeers. The error is a [MissingError] if the system lacks an
// option that the socket needs, or that of v6only.
func (p Platform) Options(network string, peers Peers, v6only func() (bool, error)) ([]Option, error) {
	opts, err := needed(network, peers, v6only)
	if len(opts) == 2 && !p.MappedTOS {
		return nil, &MissingError{
			IPv4TOS.String(), "an IPv6 socket cannot mark packets to IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead",
		}
	}
	return opts, err
}

// needed returns the options of the families with which a socket can exchange packets:
// both if an IPv6 socket has, or may have, IPv4 peers. A raw IPv6 socket never has
// any, and Linux has no IP_TOS on it.
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

// What needed returns. They must not be changed.
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
// socket lacks the option.
func IsUnsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || noSuchOption(err)
}
