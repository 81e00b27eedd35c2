// Package natlab builds a real NAT for tests from three network namespaces. The middle
// one routes, translates addresses, and drops or resets flows by DSCP, with rules of
// nftables. Tests compare the relay of package dscptest with it.
package natlab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/godscp/godscp/internal/testns"
)

// The addresses of the four interfaces, for IPv4 and IPv6.
var (
	insideHost    = prefixes("192.0.2.2/24", "2001:db8:1::2/64")
	insideRouter  = prefixes("192.0.2.1/24", "2001:db8:1::1/64")
	outsideRouter = prefixes("198.51.100.1/24", "2001:db8:2::1/64")
	outsideHost   = prefixes("198.51.100.2/24", "2001:db8:2::2/64")
)

func prefixes(ss ...string) []netip.Prefix {
	var pp []netip.Prefix
	for _, s := range ss {
		pp = append(pp, netip.MustParsePrefix(s))
	}
	return pp
}

// A Lab is a host inside a NAT, a host outside, and the router between them.
// The host outside has no route to the inside. A test that uses a Lab must run
// [testns.Inside] a namespace.
type Lab struct {
	Inside, Router, Outside *testns.Net
}

// InsideCable and OutsideCable are the names of the router's interfaces.
const (
	InsideCable  = "inside"
	OutsideCable = "outside"
)

// New builds a Lab. The router masquerades what comes from the inside. It forwards
// connections to its outside address to the host inside. It has no rules about marks
// yet.
func New(tb testing.TB) *Lab {
	tb.Helper()
	testns.Require(tb, "ip")
	testns.Require(tb, "nft")
	l := &Lab{Inside: testns.New(tb), Router: testns.New(tb), Outside: testns.New(tb)}
	testns.Connect(
		testns.End{Net: l.Inside, Name: "host", Addresses: insideHost},
		testns.End{Net: l.Router, Name: InsideCable, Addresses: insideRouter})
	testns.Connect(
		testns.End{Net: l.Outside, Name: "host", Addresses: outsideHost},
		testns.End{Net: l.Router, Name: OutsideCable, Addresses: outsideRouter})
	for _, gateway := range insideRouter {
		l.Inside.Run("ip", "route", "add", "default", "via", gateway.Addr().String())
	}
	l.Router.Sysctl("net.ipv4.ip_forward", "1")
	l.Router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	l.Router.Input(fmt.Sprintf(`
table inet nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname %[1]q dnat ip to %[2]v
		iifname %[1]q dnat ip6 to %[3]v
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname %[1]q masquerade
	}
}`, OutsideCable, insideHost[0].Addr(), insideHost[1].Addr()), "nft", "-f", "-")
	return l
}

// Server returns the address that a server inside the NAT, or outside, has to listen
// on, and the address at which a client reaches it.
func (l *Lab) Server(six, inside bool) (listen, dial netip.Addr) {
	i := 0
	if six {
		i = 1
	}
	if inside {
		return insideHost[i].Addr(), outsideRouter[i].Addr()
	}
	return outsideHost[i].Addr(), outsideHost[i].Addr()
}

// A Key returns what a router stores of the first segment that the host inside sends in
// a flow, and compares with all later ones.
type Key func(dscp uint8) uint8

// Precedence is the key of a TCP that checks precedence as RFC 793 requires.
func Precedence(dscp uint8) uint8 { return dscp >> 3 }

// CodePoint is the key of a flow table that has the code point in it.
func CodePoint(dscp uint8) uint8 { return dscp }

// Judge makes the router apply a statement of nftables to each segment of the host
// inside whose key differs from that of the first: "drop", or "reject with tcp reset".
func (l *Lab) Judge(key Key, statement string) {
	// One rule for each code point: the maps and concatenations of nftables
	// misread IPv6 code points in some versions.
	var remember, compare strings.Builder
	for dscp := range uint8(64) {
		mark := 0x100 | int(key(dscp)) // 0 means that nothing is stored yet
		for _, ip := range []string{"ip", "ip6"} {
			fmt.Fprintf(&remember, "\t\tct mark 0 %s dscp %d ct mark set %#x\n", ip, dscp, mark)
			fmt.Fprintf(&compare, "\t\t%s dscp %d ct mark != %#x counter %s\n", ip, dscp, mark, statement)
		}
	}
	l.Router.Input(fmt.Sprintf(`
table inet box {
	chain forward {
		type filter hook forward priority filter
		iifname %q meta l4proto tcp jump judge
	}
	chain judge {
%s%s	}
}`, InsideCable, &remember, &compare), "nft", "-f", "-")
}

// DropMarked makes the router drop every marked segment of the host inside.
func (l *Lab) DropMarked() {
	l.Router.Input(fmt.Sprintf(`
table inet box {
	chain forward {
		type filter hook forward priority filter
		iifname %q meta l4proto tcp jump judge
	}
	chain judge {
		ip dscp != 0 counter drop
		ip6 dscp != 0 counter drop
	}
}`, InsideCable), "nft", "-f", "-")
}
