package main

import (
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// knownIn returns the host keys of one file.
func knownIn(t *testing.T, file string, s settings) *hostKeys {
	t.Helper()
	s.knownHosts = []string{file}
	h, err := newHostKeys(t.Context(), &connector{settings: s, stderr: io.Discard})
	require.NoError(t, err)
	return h
}

// TestAlgorithmsAreSecure claims that the client does not request DSA, which uses
// SHA-1, even if known_hosts has a DSA key of the host.
func TestAlgorithmsAreSecure(t *testing.T) {
	one := big.NewInt(1)
	dsa, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(one, 1023), new(big.Int).Lsh(one, 159), one, one}))
	require.NoError(t, err)
	better := sshtest.NewKey(t, "").Signer.PublicKey()
	file := filepath.Join(t.TempDir(), "known_hosts")
	lines := knownhosts.Line([]string{"host"}, dsa) + "\n" + knownhosts.Line([]string{"host"}, better) + "\n"
	require.NoError(t, os.WriteFile(file, []byte(lines), 0o600))
	algorithms := knownIn(t, file, settings{hostName: "host", port: "22"}).algorithms()
	assert.Equal(t, better.Type(), algorithms[0], "the type of the known key comes first")
	assert.Subset(t, ssh.SupportedAlgorithms().HostKeys, algorithms)
}
