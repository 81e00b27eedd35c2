package sshtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/internal/testns"
)

// Args returns what OpenSSH's clients need to reach the server at addr, which may
// be a box before it, with the key: options alone, for ssh, scp and sftp alike,
// and no configuration of the machine or of its user. The options given come
// first, so they win.
func (s *SSHD) Args(tb testing.TB, key *Key, addr string, options ...string) []string {
	tb.Helper()
	return clientArgs(tb, s.User, s.HostKey, key, addr, options)
}

// Args is as [SSHD.Args].
func (s *GoServer) Args(tb testing.TB, key *Key, addr string, options ...string) []string {
	tb.Helper()
	return clientArgs(tb, "whoever", s.HostKey, key, addr, options)
}

func clientArgs(tb testing.TB, user string, hostKey ssh.PublicKey, key *Key, addr string, options []string) []string {
	tb.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(tb, err)
	args := []string{"-F", "none"}
	for _, o := range append(options,
		"Port="+port,
		"User="+user,
		"IdentityFile="+key.File,
		"IdentitiesOnly=yes",
		"IdentityAgent=none",
		"BatchMode=yes",
		"UserKnownHostsFile="+KnownHosts(tb, hostKey, addr),
		"GlobalKnownHostsFile=none",
		"UpdateHostKeys=no",
		"ConnectTimeout=20",
	) {
		args = append(args, "-o", o)
	}
	return args
}

// Tool returns the file name of an installed program, or ends the test.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	testns.Require(tb, name)
	file, err := exec.LookPath(name)
	require.NoError(tb, err)
	return file
}

// Transport returns a program that sftp can run with -S instead of ssh: it runs the
// command, whatever its own arguments. The option -D, which is for this, takes no
// arguments for the command before OpenSSH 9.1.
func Transport(tb testing.TB, command []string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "transport")
	var line strings.Builder
	for _, word := range command {
		line.WriteString(" '" + strings.ReplaceAll(word, "'", `'\''`) + "'")
	}
	require.NoError(tb, os.WriteFile(name, []byte("#!/bin/sh\nexec"+line.String()+"\n"), 0o755))
	return name
}

// Built makes every Program that the calling test and the processes it starts ask
// for one that exists: call it before testns.Inside, whose child has the test's
// environment.
func Built(t *testing.T, names ...string) {
	t.Helper()
	if os.Getenv(programs) != "" {
		return
	}
	for _, name := range names {
		Program(t, name)
	}
	t.Setenv(programs, builds.dir)
}
