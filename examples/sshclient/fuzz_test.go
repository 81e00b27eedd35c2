package main

import (
	"bytes"
	"errors"
	"io"
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

// FuzzConfig reads configurations: what comes of one is complete and valid, and
// more lines at its end change nothing that was set.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("testdata/config")
	require.NoError(f, err)
	for block := range strings.SplitSeq(string(text), "\n\n") {
		f.Add(block, "web1.example.com")
	}
	f.Add("IPQoS = \"af21\" 0x20 # x\nUser=\"a b\"\n\tPort\t22", "h")
	f.Add("Match all\n  Port 3\nMatch host h\nHostName %h%%h\n", "h")
	f.Add("Host !h *\nUserKnownHostsFile none\nIdentityFile ~/%d/%p%r", "h")
	f.Add("Port\nHost\n=\n#", "h")
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "include") {
			t.Skip("would read files of this machine")
		}
		file := filepath.Join(t.TempDir(), "config")
		read := func(text string) (settings, error) {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			return loadSettings(options{config: file, host: host})
		}
		s, err := read(text)
		if err != nil {
			return
		}
		port, err := strconv.Atoi(s.port)
		require.NoError(t, err)
		require.True(t, 0 < port && port < 1<<16)
		require.False(t, s.hostName == "" && host != "" || s.user == "" || len(s.identities) == 0 || len(s.knownHosts) == 0)
		require.True(t, s.ipqos.Interactive <= 63 && s.ipqos.Bulk <= 63)
		require.NoError(t, checkHost(s.hostName))
		require.NotContains(t, s.hostName, "\n")

		more, err := read(text + "\nHost *\n  Port 4\n  User somebody\n  IPQoS ef\n")
		if err != nil {
			return // an open Match, for one
		}
		require.Equal(t, s.hostName, more.hostName)
		require.Contains(t, []string{s.port, "4"}, more.port)
		require.Contains(t, []string{s.user, "somebody"}, more.user)
	})
}

// FuzzKnownHosts adds a key to files that look like anything: a file that said
// nothing of a host names its key then, and says of others what it said.
func FuzzKnownHosts(f *testing.F) {
	key, other := sshtest.NewKey(f, ""), sshtest.NewKey(f, "")
	f.Add([]byte("# comment"), "example.com", uint16(22))
	f.Add([]byte(knownhosts.Line([]string{"example.com"}, other.Signer.PublicKey())), "example.com", uint16(22))
	f.Add([]byte("@revoked * "+other.Line), "::1", uint16(2222))
	f.Add([]byte("!a,* "+other.Line+"\n\n"), "a", uint16(22))
	f.Add([]byte("|1|AAAA|AAAA "+other.Line), "fe80::1%eth0", uint16(22))
	f.Fuzz(func(t *testing.T, before []byte, host string, port uint16) {
		if checkHost(host) != nil || host == "" || port == 0 {
			return // nobody connects there
		}
		file := filepath.Join(t.TempDir(), "known_hosts")
		require.NoError(t, os.WriteFile(file, before, 0o600))
		addr, elsewhere := net.JoinHostPort(host, strconv.Itoa(int(port))), "elsewhere.example.net:1"
		ask := func(addr string) error {
			keys, err := newHostKeys(t.Context(), []string{file}, io.Discard)
			if err != nil {
				return err
			}
			return keys.known(addr, noAddr{}, key.Signer.PublicKey())
		}
		var unknown *knownhosts.KeyError
		if err := ask(addr); !errors.As(err, &unknown) || len(unknown.Want) > 0 {
			return // then nothing is added
		}
		told := ask(elsewhere)
		var stderr bytes.Buffer
		(&hostKeys{files: []string{file}, stderr: &stderr}).remember(addr, key.Signer.PublicKey())
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
