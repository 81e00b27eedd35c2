package sshtest_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// A site is a stock sshd with VMware's NAT before it, and what somebody who works
// there has in ~/.ssh/config.
type site struct {
	*testing.T
	config string // its file name
	box    *dscptest.Middlebox
}

// newSite makes one; models stand for the NAT.
func newSite(t *testing.T, models ...dscptest.Model) *site {
	t.Helper()
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	s := &site{T: t, config: filepath.Join(t.TempDir(), "config"), box: dscptest.NewMiddlebox(t, sshd.Addr, models...)}
	host, port, err := net.SplitHostPort(s.box.Addr())
	require.NoError(t, err)
	lines := "Host work\n    HostName " + host + "\n    Port " + port + "\n    User " + sshd.User +
		"\n    IdentityFile " + key.File + "\n    IdentitiesOnly yes\n    IdentityAgent none\n    BatchMode yes" +
		"\n    UserKnownHostsFile " + sshtest.KnownHosts(t, sshd.HostKey, s.box.Addr()) + "\n"
	require.NoError(t, os.WriteFile(s.config, []byte(lines), 0o600))
	return s
}

// adds appends to the configuration.
func (s *site) adds(text string) {
	s.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(s, err)
	_, err = f.WriteString(text)
	require.NoError(s, err)
	require.NoError(s, f.Close())
}

// addsPrintedConfig appends what proxycommand -print-config prints.
func (s *site) addsPrintedConfig(options ...string) {
	s.Helper()
	printed, err := exec.Command(sshtest.Program(s, "proxycommand"), append(options, "-print-config")...).Output()
	require.NoError(s, err)
	s.adds(string(printed))
}

// runs runs a program that speaks SSH through ssh, with the configuration.
func (s *site) runs(name string, args ...string) (output string, err error) {
	s.Helper()
	cmd := exec.Command(sshtest.Tool(s, name), args...)
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh", "HOME="+s.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_SSH_COMMAND=ssh -F "+s.config, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// repository makes a repository with one commit of a megabyte.
func (s *site) repository() string {
	s.Helper()
	f := newFile(s.T, 1<<20)
	dir := filepath.Dir(f.name)
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-qm", "One"}} {
		out, err := s.runs("git", append([]string{"-C", dir}, args...)...)
		require.NoError(s, err, out)
	}
	return dir
}

// TestThroughSSH runs the programs that people run over ssh.
func TestThroughSSH(t *testing.T) {
	sshtest.Built(t, "proxycommand")
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)

	// programs tries all of them and returns what they said.
	programs := map[string]func(*site) (string, error){
		"git clone": func(s *site) (string, error) {
			there, here := s.repository(), filepath.Join(s.TempDir(), "clone")
			out, err := s.runs("git", "clone", "-q", "ssh://work"+there, here)
			if err == nil {
				assert.FileExists(s, filepath.Join(here, "file"))
			}
			return out, err
		},
		"scp": func(s *site) (string, error) {
			f, there := newFile(s.T, 4<<20), filepath.Join(s.TempDir(), "there")
			out, err := s.runs("scp", "-q", "-F", s.config, f.name, "work:"+there)
			if err == nil {
				sent, _ := os.ReadFile(f.name)
				got, _ := os.ReadFile(there)
				assert.Equal(s, sent, got)
			}
			return out, err
		},
	}
	for name, program := range programs {
		t.Run(name+" as OpenSSH would", func(t *testing.T) {
			s := newSite(t, dscptest.VMware)
			s.adds("    IPQoS af21 cs1\n")
			out, err := program(s)
			assert.Error(t, err)
			assert.Regexp(t, "Broken pipe|Connection reset|[Cc]onnection .*closed", out)
			require.NotEmpty(t, s.box.Flows())
			assert.Equal(t, dscptest.Reset, s.box.Flows()[0].Verdict)
		})
		for mode, want := range map[string]struct {
			options []string
			mark    dscp.CodePoint
		}{
			"pinned":   {mark: dscp.CS1},
			"NAT-safe": {options: []string{"-nat-safe"}, mark: dscp.Throughput},
		} {
			t.Run(name+" "+mode, func(t *testing.T) {
				s := newSite(t, dscptest.VMware)
				s.addsPrintedConfig(want.options...)
				addr := netip.MustParseAddrPort(s.box.Addr())
				capture := wire.Start(t, "lo", addr.Port())
				out, err := program(s)
				require.NoError(t, err, out)
				assert.NotContains(t, out, "warning")
				for _, p := range capture.Until(wire.Closed(1)) {
					if p.Dst == addr && !p.Ownerless() {
						assert.Equal(t, want.mark, dscp.CodePoint(p.DSCP()), "%v", p)
					}
				}
				assert.Equal(t, dscptest.Pass, s.box.Flows()[0].Verdict)
			})
		}
	}
}

// TestFallback has a box that loses every packet with the first mark.
func TestFallback(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.DropSYN)
	s := newSite(t, dscptest.DropMarked(dscp.CS1))
	s.addsPrintedConfig("-fallback", "lowdelay none")
	out, err := s.runs("ssh", "-F", s.config, "work", "echo through")
	require.NoError(t, err, out)
	assert.Equal(t, "through\n", out)
	flows := s.box.Flows()
	require.Len(t, flows, 1, "the lost attempts never arrived")
	assert.Equal(t, dscp.LowDelay, flows[0].SYN)
}

// TestProxyJump goes through the site's server to another: the connection to the
// first is the one that leaves, and it is marked.
func TestProxyJump(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4)
	s := newSite(t, dscptest.VMware)
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
