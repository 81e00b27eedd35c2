package dscp

import (
	"errors"
	"runtime"
	"strings"
)

// A platform says what one operating system does with marks. The sources are
// the kernels' own and x/net's option tables; the table in the package comment
// says the same in words.
type platform struct {
	os string

	// blind tells why no socket can be marked there; empty where they can.
	// Where it is set, no hook is run and no option is tried.
	blind string

	// tosOnIPv6 says that an AF_INET6 socket takes IP_TOS, which its
	// IPv4-mapped peers need. macOS and the BSDs answer EINVAL, and OpenBSD
	// kills a pledged process for trying.
	tosOnIPv6 bool

	// mutesReset says that a socket which its peer has reset refuses every
	// option.
	mutesReset bool

	// holds says that a socket is known to hold the mark that it took, so that
	// a dial that is pinned later need not read it back before connect, too.
	holds bool

	// reports has the numbers with which received marks are told.
	reports reports
}

// host is the platform that this program runs on.
var host = platformOf(runtime.GOOS)

func platformOf(goos string) platform {
	p := platform{os: goos, reports: reportsOf(goos)}
	switch goos {
	case "linux", "android":
		p.tosOnIPv6, p.holds = true, true
	case "darwin", "ios", "freebsd", "netbsd", "openbsd", "dragonfly":
		p.mutesReset = true
	case "solaris", "illumos", "aix":
		// Not confirmed for these kernels. Trying is honest: where they
		// refuse, their error is returned.
		p.tosOnIPv6 = true
	case "windows":
		p.blind = "the system accepts the option and ignores it; use a policy-based QoS rule instead"
	case "js", "wasip1", "plan9":
		p.blind = "package net cannot reach the socket before it connects"
	default:
		p.blind = "not known to mark packets"
	}
	return p
}

// An option is a socket option that holds a mark.
type option uint8

const (
	ipTOS        option = iota // marks IPv4 packets
	trafficClass               // marks IPv6 packets
)

func (o option) String() string {
	if o == ipTOS {
		return "IP_TOS"
	}
	return "IPV6_TCLASS"
}

// markable reports whether network is one of the Internet networks. The others,
// unix and whatever net does not know, pass through untouched.
func markable(network string) bool {
	return strings.HasPrefix(network, "tcp") || strings.HasPrefix(network, "udp") || strings.HasPrefix(network, "ip")
}

// isTCP reports whether network is one of TCP's.
func isTCP(network string) bool { return strings.HasPrefix(network, "tcp") }

// check returns an UnsupportedError where no socket of the network can be
// marked on p, whatever its address.
func (p platform) check(network string, cp CodePoint) error {
	if p.blind == "" || cp == DF || !markable(network) {
		return nil
	}
	opt := ipTOS
	if family, _, _ := strings.Cut(network, ":"); strings.HasSuffix(family, "6") { // "ip6:ipv6-icmp"
		opt = trafficClass
	}
	return &UnsupportedError{OS: p.os, Network: network, Option: opt.String(), CodePoint: cp, Err: errors.New(p.blind)}
}

// options returns the options that mark a socket. The network is one that net
// gives to a hook, so its last letter is the family of the socket. peers says
// which families the socket can exchange packets with, as far as the address
// tells; v6only is asked only where that leaves the question open.
func (p platform) options(network string, peers peers, v6only func() (bool, error)) ([]option, error) {
	opts, err := needed(network, peers, v6only)
	if len(opts) == 2 && !p.tosOnIPv6 {
		return nil, &UnsupportedError{
			OS: p.os, Network: network, Option: ipTOS.String(),
			Err: errors.New("an IPv6 socket cannot mark packets to IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead"),
		}
	}
	return opts, err
}

// needed returns the options of the families that a socket can exchange packets
// with: both where an IPv6 socket has, or may have, IPv4 peers.
func needed(network string, peers peers, v6only func() (bool, error)) ([]option, error) {
	if !strings.HasSuffix(network, "6") {
		return onlyTOS, nil
	}
	if peers == peersAny {
		only, err := v6only()
		if err != nil {
			return nil, err
		}
		if only {
			peers = peersIPv6
		}
	}
	if peers == peersIPv6 {
		return onlyTrafficClass, nil
	}
	return both, nil
}

// What needed returns; nobody changes them.
var (
	onlyTOS          = []option{ipTOS}
	onlyTrafficClass = []option{trafficClass}
	both             = []option{trafficClass, ipTOS}
)
