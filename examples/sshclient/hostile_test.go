package main

import (
	"bytes"
	"net"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// TestHostileServer claims that escape sequences in a server's banner and errors do not
// reach the terminal.
func TestHostileServer(t *testing.T) {
	const orders = "\x1b]0;title\a\x1b[2J\u009b31m"
	key := sshtest.NewKey(t, "")
	config := &ssh.ServerConfig{
		NoClientAuth:   true,
		BannerCallback: func(ssh.ConnMetadata) string { return "banner: " + orders + "\r\n" },
	}
	config.AddHostKey(key.Signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, channels, requests, err := ssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for ch := range channels {
			ch.Reject(ssh.Prohibited, "refused: "+orders)
		}
	}()
	host, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	var stderr bytes.Buffer
	status := run(t.Context(), []string{
		"-F", "none", "-v", "-i", key.File, "-o", "UserKnownHostsFile=" + sshtest.KnownHosts(t, key.Signer.PublicKey(), l.Addr().String()),
		"-p", port, host, "true",
	}, nil, nil, &stderr)
	assert.Equal(t, statusError, status)
	assert.Contains(t, stderr.String(), "banner: \\x1b]0;title")
	assert.Contains(t, stderr.String(), "refused: \\x1b]0;title")
	for _, r := range stderr.String() {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U in %q", r, stderr.String())
	}
}
