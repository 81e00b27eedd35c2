package main

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// configured returns a client with this configuration file.
func configured(t *testing.T, config string, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	file := filepath.Join(home, ".ssh", "config")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	cmd := exec.Command(sshtest.Program(t, "sshclient"), append([]string{"-F", file}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "SSH_AUTH_SOCK=")
	return cmd
}

// block returns the configuration of one host.
func block(t *testing.T, name string, sshd *sshtest.SSHD, key *sshtest.Key, more ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(t, err)
	lines := append([]string{
		"Host " + name, "HostName " + host, "Port " + port, "User " + sshd.User, "IdentityFile " + key.File,
		"UserKnownHostsFile " + sshtest.KnownHosts(t, sshd.HostKey, sshd.Addr), "GlobalKnownHostsFile none",
	}, more...)
	return strings.Join(lines, "\n") + "\n"
}

// requireOneMark checks the marks of all packets to the server.
func requireOneMark(t *testing.T, packets []wire.Packet, server netip.AddrPort, mark dscp.CodePoint) {
	t.Helper()
	sent := 0
	for _, p := range packets {
		if p.Dst == server && !p.Ownerless() {
			sent++
			assert.Equal(t, mark, dscp.CodePoint(p.DSCP()), "%v", p)
		}
	}
	assert.Greater(t, sent, 10)
}

// TestPrintedConfiguration claims that with the configuration that proxycommand
// -print-config prints, all packets have the mark of the session's class, which -v
// prints.
func TestPrintedConfiguration(t *testing.T) {
	sshtest.Built(t, "sshclient", "proxycommand")
	if !testns.Inside(t) {
		return
	}
	key := sshtest.NewKey(t, "")
	printed, err := exec.Command(sshtest.Program(t, "proxycommand"), "-print-config").Output()
	require.NoError(t, err)
	for _, family := range []string{"127.0.0.1", "[::1]"} {
		for _, terminal := range []bool{true, false} {
			mark, name := dscp.CS1, "a command, "+family
			if terminal {
				mark, name = dscp.AF21, "a shell, "+family
			}
			t.Run(name, func(t *testing.T) {
				sshd := sshtest.StartSSHD(t, key, "ListenAddress "+family)
				server := netip.MustParseAddrPort(sshd.Addr)
				capture := wire.Start(t, "lo", server.Port())
				config := block(t, "web", sshd, key) + string(printed)
				if terminal {
					p := sshtest.StartTerminal(t, configured(t, config, "-v", "web"))
					p.Expect("marked " + mark.String())
					p.Type("echo $((6*7)); exit\n")
					p.Expect("42\r\n")
					p.Wait()
				} else {
					cmd := configured(t, config, "-v", "web", "head -c 300000 /dev/zero | wc -c; cat >/dev/null")
					cmd.Stdin = strings.NewReader(strings.Repeat("x", 300000))
					stdout, stderr, status := alone(t, cmd)
					assert.Zero(t, status, stderr)
					assert.Equal(t, "300000", strings.TrimSpace(stdout))
					assert.Contains(t, stderr, "marked "+mark.String()+"\n")
					assert.NotContains(t, stderr, "not supported")
				}
				requireOneMark(t, capture.Until(wire.Closed(1)), server, mark)
			})
		}
	}
}

// TestProxyJump claims that through one or two jump hosts, all packets of the
// connection to the first have the mark.
func TestProxyJump(t *testing.T) {
	sshtest.Built(t, "sshclient")
	if !testns.Inside(t) {
		return
	}
	key := sshtest.NewKey(t, "")
	first, second, last := sshtest.StartSSHD(t, key), sshtest.StartSSHD(t, key), sshtest.StartSSHD(t, key)
	config := block(t, "first", first, key, "IPQoS af31 af11") + block(t, "second", second, key) + block(t, "last", last, key)
	entry := netip.MustParseAddrPort(first.Addr)
	for name, tt := range map[string]struct {
		config string
		args   []string
		hops   int
	}{
		"one":                    {"Host last\nProxyJump first\n", []string{"last"}, 1},
		"two":                    {"Host last\nProxyJump first,second\n", []string{"last"}, 2},
		"one before another":     {"Host last\nProxyJump second\nHost second\nProxyJump first\n", []string{"last"}, 2},
		"on the command line":    {"", []string{"-J", "first", "last"}, 1},
		"by an address and user": {"", []string{"-J", first.User + "@first:" + netip.MustParseAddrPort(first.Addr).String()[len("127.0.0.1:"):], "last"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			capture := wire.Start(t, "lo", entry.Port())
			cmd := configured(t, config+tt.config, append([]string{"-v"}, append(tt.args, "echo in; cat >/dev/null")...)...)
			cmd.Stdin = strings.NewReader(strings.Repeat("x", 300000))
			stdout, stderr, status := alone(t, cmd)
			assert.Zero(t, status, stderr)
			assert.Equal(t, "in\n", stdout)
			assert.Contains(t, stderr, "marked AF11\n")
			assert.Equal(t, tt.hops+1, strings.Count(stderr, "logged in as"), stderr)
			requireOneMark(t, capture.Until(wire.Closed(1)), entry, dscp.AF11)
		})
	}
	t.Run("through itself", func(t *testing.T) {
		_, stderr, status := alone(t, configured(t, config+"Host *\nProxyJump first\n", "first", "true"))
		assert.Equal(t, statusError, status)
		assert.Contains(t, stderr, "is its own jump host")
	})
	t.Run("in a circle", func(t *testing.T) {
		_, stderr, status := alone(t, configured(t, config+"Host first\nProxyJump second\nHost second\nProxyJump first\n", "-J", "first", "last", "true"))
		assert.Equal(t, statusError, status)
		assert.Contains(t, stderr, "more than 8 jumps")
	})
}

// TestProxyCommandRelays claims that the client works through a ProxyCommand that
// relays, and reports one that fails.
func TestProxyCommandRelays(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	relay := sshtest.Program(t, "proxycommand")
	config := block(t, "web", sshd, key, "ProxyCommand "+relay+" -ipqos 'af21 cs1' -class bulk -- '%h' %p")
	stdout, stderr, status := alone(t, configured(t, config, "web", "echo in"))
	assert.Zero(t, status, stderr)
	assert.Equal(t, "in\n", stdout)

	for _, broken := range []string{"false", "exit 3", "/no/such/program"} {
		for _, fdpass := range []string{"no", "yes"} {
			config := block(t, "web", sshd, key, "ProxyCommand "+broken, "ProxyUseFdpass "+fdpass)
			_, stderr, status := alone(t, configured(t, config, "web", "echo in"))
			assert.Equal(t, statusError, status, broken)
			assert.Contains(t, stderr, "sshclient: ", broken)
		}
	}
}
