//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func TestUsage(t *testing.T) {
	for args, says := range map[string]string{
		"more":             `unexpected argument "more"`,
		"-class middling":  "want interactive or bulk",
		"-ipqos 0x49":      "ECN",
		"-bogus":           "-bogus",
		"-listen 1 more 2": `unexpected argument "more"`,
	} {
		var stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), nil, nil, &stderr), args)
		assert.Contains(t, stderr.String(), says)
		assert.Contains(t, stderr.String(), "usage: sshserver")
	}
	var stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-h"}, nil, nil, &stderr))
}

// TestStartups fills the room for those who have not logged in.
func TestStartups(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", server.Addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		return c
	}
	greeted := func(c net.Conn) bool {
		b := make([]byte, 4)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "SSH-"
	}
	config := &ssh.ClientConfig{
		User: "whoever", Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)},
		HostKeyCallback: ssh.FixedHostKey(server.HostKey),
	}
	in, channels, requests, err := ssh.NewClientConn(dial(), server.Addr, config)
	require.NoError(t, err)
	client := ssh.NewClient(in, channels, requests) // takes no room any more
	defer client.Close()

	var silent []net.Conn
	for range mostStartups {
		silent = append(silent, dial())
		require.True(t, greeted(silent[len(silent)-1]))
	}
	assert.False(t, greeted(dial()), "one too many")
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("echo in")
	assert.NoError(t, err)
	assert.Equal(t, "in\n", string(out))

	silent[0].Close()
	assert.Eventually(t, func() bool { return greeted(dial()) }, 20*time.Second, 10*time.Millisecond)
}

func TestStartErrors(t *testing.T) {
	key := sshtest.NewKey(t, "")
	missing := filepath.Join(t.TempDir(), "missing")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no keys":      {[]string{"-hostkey", key.File, "-authorized-keys", missing}, "nobody could log in: stat " + missing},
		"bad host key": {[]string{"-hostkey", t.TempDir()}, "is a directory"},
		"address in use": {
			[]string{"-hostkey", key.File, "-authorized-keys", key.File, "-listen", taken.Addr().String()},
			"listen tcp " + taken.Addr().String() + ": bind: address already in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			assert.Equal(t, 1, run(t.Context(), tt.args, nil, nil, &stderr))
			assert.Contains(t, stderr.String(), "sshserver: ")
			assert.Contains(t, stderr.String(), tt.says)
		})
	}
}
