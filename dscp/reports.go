package dscp

import "errors"

// The levels of IPv4's and IPv6's socket options and control messages, which are
// the same on every system.
const (
	levelIPv4 = 0
	levelIPv6 = 41
)

func (o option) level() int {
	if o == ipTOS {
		return levelIPv4
	}
	return levelIPv6
}

// A report says how one system tells the mark of a received packet.
type report struct {
	name    string // of the option that asks for it
	ask     int    // the number of that option; 0: the system has none
	message int    // the type of the control message, where it is not ask itself
}

// reports has the one for IP_TOS and the one for IPV6_TCLASS.
type reports [2]report

// reportsOf returns the numbers of a system, as golang.org/x/sys has them for
// it. AIX, DragonFly, NetBSD and OpenBSD have no IP_RECVTOS.
func reportsOf(goos string) reports {
	numbers := func(recvTOS, tos, recvTClass, tClass int) reports {
		return reports{ipTOS: {"IP_RECVTOS", recvTOS, tos}, trafficClass: {"IPV6_RECVTCLASS", recvTClass, tClass}}
	}
	switch goos {
	case "linux", "android":
		return numbers(13, 1, 66, 67)
	case "darwin", "ios":
		return numbers(27, 3, 35, 36)
	case "freebsd":
		return numbers(68, 3, 57, 61)
	case "dragonfly", "netbsd", "openbsd":
		return numbers(0, 3, 57, 61)
	case "solaris", "illumos":
		return numbers(12, 3, 25, 38)
	case "aix":
		return numbers(0, 3, 42, 43)
	}
	return numbers(0, 0, 0, 0)
}

// reporting returns the options whose reports tell the marks of all packets that
// a socket can receive; the parameters are those of options.
func (p platform) reporting(network string, peers peers, v6only func() (bool, error)) ([]option, error) {
	opts, err := needed(network, peers, v6only)
	if err != nil {
		return nil, err
	}
	for _, opt := range opts {
		r, reason := p.reports[opt], ""
		switch {
		case r.ask == 0:
			reason = "the system does not report it"
		case len(opts) == 2 && !p.tosOnIPv6:
			r, reason = p.reports[ipTOS], "an IPv6 socket does not report the marks of IPv4 peers; listen on udp4 and udp6 instead"
		default:
			continue
		}
		return nil, &UnsupportedError{OS: p.os, Network: network, Option: r.name, Err: errors.New(reason)}
	}
	return opts, nil
}

// reported returns the octet that a received control message tells. The BSDs and
// macOS give IPv4's the type of the option that asked for it, Linux that of the
// option that sends it.
func (p platform) reported(level, typ int, data []byte) (octet uint8, ok bool) {
	for opt, r := range p.reports {
		if r.ask != 0 && level == option(opt).level() && (typ == r.ask || typ == r.message) {
			return octetIn(data)
		}
	}
	return 0, false
}
