package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/testns"
)

// A site is a client and a server, with a router between them in the test's namespace.
// Both families use the router.
type site struct {
	client, router, server *testns.Net
	address                map[string]netip.Addr // of the server, by family
}

func newSite(t *testing.T) *site {
	t.Helper()
	testns.Require(t, "nft")
	s := &site{
		client: testns.New(t), router: testns.Current(t), server: testns.New(t),
		address: map[string]netip.Addr{"ip": netip.MustParseAddr("10.2.0.2"), "ip6": netip.MustParseAddr("fd00:2::2")},
	}
	end := func(n *testns.Net, name string, addresses ...string) testns.End {
		e := testns.End{Net: n, Name: name}
		for _, a := range addresses {
			e.Addresses = append(e.Addresses, netip.MustParsePrefix(a))
		}
		return e
	}
	testns.Connect(end(s.client, "c", "10.1.0.2/24", "fd00:1::2/64"), end(s.router, "rc", "10.1.0.1/24", "fd00:1::1/64"))
	testns.Connect(end(s.server, "s", "10.2.0.2/24", "fd00:2::2/64"), end(s.router, "rs", "10.2.0.1/24", "fd00:2::1/64"))
	for n, via := range map[*testns.Net][2]string{s.client: {"10.1.0.1", "fd00:1::1"}, s.server: {"10.2.0.1", "fd00:2::1"}} {
		n.Run("ip", "route", "add", "default", "via", via[0])
		n.Run("ip", "-6", "route", "add", "default", "via", via[1])
	}
	s.router.Sysctl("net.ipv4.ip_forward", "1")
	s.router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	// By default a router limits the rate of its ICMP errors. Without an error, a
	// rejected SYN looks lost.
	s.router.Sysctl("net.ipv4.icmp_ratelimit", "0")
	s.router.Sysctl("net.ipv6.icmp.ratelimit", "0")
	return s
}

// serves starts a server on the server's side.
func (s *site) serves(t *testing.T, family string, start func(t *testing.T, address string) string) string {
	t.Helper()
	var addr string
	s.server.Do(func() { addr = start(t, netip.AddrPortFrom(s.address[family], 0).String()) })
	return addr
}

// check runs the program on the client's side, and returns its verdict for each target.
func (s *site) check(t *testing.T, args ...string) map[string]verdict {
	t.Helper()
	verdicts := make(map[string]verdict)
	// A socket belongs to the namespace of the thread that makes it, so the program must
	// be another process there.
	out := s.runs(t, append([]string{"-json", "-parallel", "100"}, args...)...)
	for line := range strings.Lines(out) {
		var v verdict
		require.NoError(t, json.Unmarshal([]byte(line), &v), line)
		if v.Kind == "verdict" {
			verdicts[v.Target] = v
		}
	}
	return verdicts
}

// TestFirewall claims that pathcheck recognises each way in which a kernel's firewall can
// reject marks, and that its advice works on the path.
func TestFirewall(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	s := newSite(t)
	type cell struct {
		name      string
		all       bool   // every mark, not only AF21
		says      string // the finding, before the marks
		family    string
		statement string // of nft, by family
	}
	words := map[string]string{
		"drop": "drops SYNs marked ", "tcp reset": "refuses SYNs marked ", "port-unreachable": "refuses SYNs marked ",
		"admin-prohibited": "rejects SYNs marked ", "host-unreachable": "rejects SYNs marked ",
	}
	var rules strings.Builder
	cells := make(map[string]cell)
	for how, says := range words {
		for _, family := range []string{"ip", "ip6"} {
			for _, all := range []bool{true, false} {
				c := cell{name: fmt.Sprintf("%s, %s, all marks %v", how, family, all), all: all, says: says, family: family}
				switch {
				case how == "drop":
					c.statement = "drop"
				case how == "tcp reset":
					c.statement = "reject with tcp reset"
				case family == "ip":
					c.statement = "reject with icmp type " + how
				case how == "host-unreachable":
					c.statement = "reject with icmpv6 type addr-unreachable"
				default:
					c.statement = "reject with icmpv6 type " + how
				}
				addr := s.serves(t, family, sshServer)
				cells["ssh://"+addr] = c
				marks := "af21"
				if all {
					marks = "!= cs0"
				}
				fmt.Fprintf(&rules, "%s daddr %v tcp dport %d meta l4proto tcp %s dscp %s %s\n",
					family, s.address[family], netip.MustParseAddrPort(addr).Port(), family, marks, c.statement)
			}
		}
	}
	s.router.Input("table inet f {\nchain forward {\ntype filter hook forward priority 0\n"+rules.String()+"}\n}\n", "nft", "-f", "-")

	var targets []string
	for target := range cells {
		targets = append(targets, target)
	}
	verdicts := s.check(t, append([]string{"-timeout", impatient}, targets...)...)
	require.Len(t, verdicts, len(cells))
	for target, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			v := verdicts[target]
			assert.Equal(t, string(harm), v.State)
			marked := "AF21"
			if c.all {
				marked = everything
			}
			require.NotEmpty(t, v.Findings)
			assert.Contains(t, v.texts(), c.says+marked, "the marks")
			for _, text := range v.texts() {
				assert.NotContains(t, text, "VMware", "the firewall does not react to changes")
				assert.NotContains(t, text, "any change")
			}
			if c.all {
				assert.Len(t, v.Findings, 1, "%q", v.texts())
				assert.Equal(t, "IPQoS none", v.SSH)
			} else {
				assert.Equal(t, "IPQoS 16", v.SSH)
			}
			require.NotEmpty(t, v.Dialer)
			for _, a := range v.Tried {
				given := a.Advice == v.Dialer || a.Advice == v.SSH
				assert.Equal(t, given, a.Outcome == fine, "%+v", a)
			}
			s.requireAdviceWorks(t, netip.MustParseAddrPort(strings.TrimPrefix(target, "ssh://")), v)
		})
	}
}

// requireAdviceWorks connects through the router with the advised Dialer.
func (s *site) requireAdviceWorks(t *testing.T, server netip.AddrPort, v verdict) {
	t.Helper()
	require.Contains(t, pasted, v.Dialer)
	assert.Equal(t, "up\n", s.runs(t, dialArgument, v.Dialer, server.String()), v.Dialer)
}

// TestChangedOnTheWay claims that pathcheck finds a router that changes marks within a
// flow, in both families, and advises no mark that the router changes.
func TestChangedOnTheWay(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	s := newSite(t)
	type cell struct {
		name   string
		says   string
		dialer string
		blind  bool
	}
	cells := make(map[string]cell)
	var rules strings.Builder
	const safe = "dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}"
	for _, family := range []string{"ip", "ip6"} {
		for _, c := range []struct {
			name, match, says, dialer string
			capturing                 bool
		}{
			{"everything after the SYN", "tcp flags & syn == 0", "DF→CS1", "", false},
			{"only AF21", "tcp flags & syn == 0 " + family + " dscp af21", "AF21→CS1", safe, false},
			{"data marked AF21", "tcp flags & psh != 0 " + family + " dscp af21", "AF21→CS1", safe, true},
		} {
			addr := s.farEnd(t, family, c.capturing)
			cells[addr] = cell{c.name + ", " + family, c.says, c.dialer, family == "ip" && !c.capturing}
			fmt.Fprintf(&rules, "%s daddr %v tcp dport %d %s %s dscp set cs1\n",
				family, s.address[family], netip.MustParseAddrPort(addr).Port(), c.match, family)
		}
	}
	s.router.Input("table inet m {\nchain forward {\ntype filter hook forward priority mangle\n"+rules.String()+"}\n}\n", "nft", "-f", "-")
	var targets []string
	for target := range cells {
		targets = append(targets, target)
	}
	verdicts := s.check(t, append([]string{"-timeout", impatient, "-peer"}, targets...)...)
	require.Len(t, verdicts, len(cells))
	for target, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			v := verdicts[target]
			assert.Equal(t, string(harm), v.State)
			assert.True(t, slices.ContainsFunc(v.texts(), func(text string) bool {
				return strings.HasPrefix(text, changesWithin) && strings.Contains(text, c.says)
			}), "%q", v.texts())
			assert.Equal(t, c.dialer, v.Dialer)
			if c.dialer == "" {
				assert.Empty(t, v.SSH)
				assert.Contains(t, strings.Join(v.Notes, "\n"), "no dscp.Dialer works")
			} else {
				assert.Equal(t, "IPQoS 16", v.SSH)
			}
			says := assert.NotContains
			if c.blind {
				says = assert.Contains
			}
			says(t, strings.Join(v.Notes, "\n"), "it would not see a later change in the flow")
		})
	}
}

// TestLinkLocalZone claims that pathcheck connects to a link-local address with a zone.
func TestLinkLocalZone(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	s := newSite(t)
	s.server.Run("ip", "address", "add", "fe80::2/64", "dev", "s", "nodad")
	var addr string
	s.server.Do(func() { addr = webServerAt(t, "[fe80::2%s]:0") })
	s.router.Run("ip", "address", "add", "fe80::1/64", "dev", "rs", "nodad")
	port := netip.MustParseAddrPort(addr).Port()
	for _, target := range []string{fmt.Sprintf("http://[fe80::2%%rs]:%d", port), fmt.Sprintf("http://[fe80::2%%25rs]:%d/", port)} {
		code, out := pathcheck(t, forever, "-n", "1", target)
		assert.Equal(t, exitNoHarm, code, out)
		assert.Contains(t, out, "(http over [fe80::2%rs]:")
	}
}
