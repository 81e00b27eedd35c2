package sshtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// KnownHosts writes a known_hosts file in which each addr, a host:port, has the
// key, and returns its name.
func KnownHosts(tb testing.TB, key ssh.PublicKey, addrs ...string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "known_hosts")
	line := ""
	if len(addrs) > 0 {
		line = knownhosts.Line(addrs, key) + "\n"
	}
	require.NoError(tb, os.WriteFile(file, []byte(line), 0o600))
	return file
}
