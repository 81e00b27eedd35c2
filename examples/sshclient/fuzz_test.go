package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// FuzzConfig claims that the settings of any configuration are complete and valid, and
// that more lines at its end do not change values that are set.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("testdata/corpus.txt")
	require.NoError(f, err)
	for section := range strings.SplitSeq(string(text), "\n=== ") {
		if _, config, ok := strings.Cut(section, "---\n"); ok {
			f.Add(config, "web")
		}
	}
	f.Add("IPQoS = \"af21\" 0x20 # x\nUser=\"a b\"\n\tPort\t22", "h")
	f.Add("Match all\n  Port 3\nMatch host h\nHostName %h%%h\n", "h")
	f.Add("Host !h *\nUserKnownHostsFile none\nIdentityFile ~/%d/%p%r", "h")
	f.Add("Port\nHost\n=\n#", "h")
	f.Fuzz(func(t *testing.T, text, host string) {
		if lower := strings.ToLower(text); strings.Contains(lower, "include") || strings.Contains(lower, "exec") {
			t.Skip("would read files of this machine, or run its programs")
		}
		file := filepath.Join(t.TempDir(), "config")
		read := func(text string) (settings, error) {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			return loadSettings(t.Context(), options{config: file, host: host})
		}
		s, err := read(text)
		if err != nil {
			return
		}
		port, err := strconv.Atoi(s.port)
		require.NoError(t, err)
		require.True(t, 0 < port && port < 1<<16)
		require.False(t, s.hostName == "" && host != "" || s.user == "")
		require.True(t, s.ipqos.Interactive <= 63 && s.ipqos.Bulk <= 63)
		require.NoError(t, checkHost(s.hostName))
		require.NotContains(t, s.hostName, "\n")

		more, err := read(text + "\nHost *\n  Port 4\n  User other\n  IPQoS ef\n")
		if err != nil {
			return // for example, the text ends in a Match block
		}
		require.Equal(t, s.hostName, more.hostName)
		require.Contains(t, []string{s.port, "4"}, more.port)
		require.Contains(t, []string{s.user, "other"}, more.user)
	})
}

// FuzzKnownHosts claims that after a key is added to any known_hosts file, the host is
// known by that key, and nothing changes for another host.
func FuzzKnownHosts(f *testing.F) {
	key, other := sshtest.NewKey(f, ""), sshtest.NewKey(f, "")
	f.Add([]byte("# comment"), "example.com", uint16(22))
	f.Add([]byte(knownhosts.Line([]string{"example.com"}, other.Signer.PublicKey())), "example.com", uint16(22))
	f.Add([]byte("@revoked * "+other.Line), "::1", uint16(2222))
	f.Add([]byte("!a,* "+other.Line+"\n\n"), "a", uint16(22))
	f.Add([]byte("|1|AAAA|AAAA "+other.Line), "fe80::1%eth0", uint16(22))
	f.Fuzz(func(t *testing.T, before []byte, host string, port uint16) {
		if checkHost(host) != nil || host == "" || port == 0 {
			return // no valid address
		}
		file := filepath.Join(t.TempDir(), "known_hosts")
		require.NoError(t, os.WriteFile(file, before, 0o600))
		addr, elsewhere := net.JoinHostPort(host, strconv.Itoa(int(port))), "elsewhere.example.net:1"
		if name, _, err := net.SplitHostPort(addr); err != nil || name != host {
			return // an address cannot have this name, for example "]"
		}
		ask := func(addr string) error {
			host, port, err := net.SplitHostPort(addr)
			require.NoError(t, err)
			return knownIn(t, file, settings{hostName: host, port: port, strict: strictYes}).check(addr, nil, key.Signer.PublicKey())
		}
		if ask(addr) == nil {
			return // the key is known, and nothing is added
		}
		told := ask(elsewhere)
		var stderr bytes.Buffer
		h := knownIn(t, file, settings{hostName: host, port: strconv.Itoa(int(port))})
		if len(h.about(h.name, "")) > 0 || len(h.about(h.name, "revoked")) > 0 {
			return // another key is known, or this one is revoked
		}
		h.stderr = &stderr
		h.remember(key.Signer.PublicKey())
		require.NotContains(t, stderr.String(), "not saved")
		require.NoError(t, ask(addr), "%q", addr)
		if host != "elsewhere.example.net" {
			require.Equal(t, told == nil, ask(elsewhere) == nil)
		}
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(after, before))
	})
}
