package sshtest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/openssh"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
)

// TestThroughSSH claims that git and scp over ssh fail behind VMware's NAT with
// OpenSSH's marks, and work with the printed configuration.
func TestThroughSSH(t *testing.T) {
	sshtest.Built(t, "proxycommand")
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)

	q, err := openssh.Parse("af21 cs1")
	require.NoError(t, err)
	stock := observe(t, dscptest.Client)
	for _, use := range []string{useGit, useSCP} {
		t.Run(use+" as OpenSSH would", func(t *testing.T) {
			s := newSite(t, atSite{models: []dscptest.Model{dscptest.VMware}})
			s.adds("    IPQoS af21 cs1\n")
			require.Positive(t, fatal(stock.marks(q, use)), "every known ssh changes the IP precedence")
			saw := s.does(use)
			assert.False(t, saw.ok)
			assert.Regexp(t, "Broken pipe|Connection reset|[Cc]onnection .*closed|lost connection", saw.output)
			assert.Equal(t, dscptest.Reset, saw.verdict)
		})
		for mode, want := range map[string]struct {
			options []string
			mark    dscp.CodePoint
		}{
			"pinned":   {mark: dscp.CS1},
			"NAT-safe": {options: []string{"-nat-safe"}, mark: dscp.Throughput},
		} {
			t.Run(use+" "+mode, func(t *testing.T) {
				s := newSite(t, atSite{models: []dscptest.Model{dscptest.VMware}})
				s.addsPrintedConfig(want.options...)
				saw := s.does(use)
				require.True(t, saw.ok, saw.output)
				assert.Empty(t, saw.output)
				assert.Equal(t, []dscp.CodePoint{want.mark}, saw.marks)
				assert.Equal(t, dscptest.Pass, saw.verdict)
			})
		}
	}
}

// TestFallback claims that ssh connects with a fallback mark if the network drops
// all packets with the first.
func TestFallback(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.DropSYN)
	s := newSite(t, atSite{models: []dscptest.Model{dscptest.DropMarked(dscp.CS1)}})
	s.addsPrintedConfig("-fallback", "lowdelay none")
	out, err := s.runs("ssh", "-F", s.config, "work", "echo through")
	require.NoError(t, err, out)
	assert.Equal(t, "through\n", out)
	flows := s.box.Flows()
	require.Len(t, flows, 1, "the SYNs of the first mark were dropped")
	assert.Equal(t, dscp.LowDelay, flows[0].SYN)
}

// TestProxyJump claims that with ProxyJump the connection to the jump host has the
// mark.
func TestProxyJump(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4)
	s := newSite(t, atSite{models: []dscptest.Model{dscptest.VMware}})
	key := sshtest.NewKey(t, "")
	inner := sshtest.StartSSHD(t, key)
	host, port, err := net.SplitHostPort(inner.Addr)
	require.NoError(t, err)
	s.adds("Host inner\n    HostName " + host + "\n    Port " + port + "\n    User " + inner.User +
		"\n    ProxyJump work\n    IdentityFile " + key.File + "\n    IdentitiesOnly yes\n    IdentityAgent none\n    BatchMode yes" +
		"\n    UserKnownHostsFile " + sshtest.KnownHosts(t, inner.HostKey, inner.Addr) + "\n")
	s.addsPrintedConfig()
	out, err := s.runs("ssh", "-F", s.config, "inner", "echo through two")
	require.NoError(t, err, out)
	assert.Equal(t, "through two\n", out)
	flows := s.box.Flows()
	require.Len(t, flows, 1)
	assert.Equal(t, dscp.CS1, flows[0].SYN)
}
