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

// Args returns arguments for ssh, scp or sftp that log in with the key at addr, the
// server or a middlebox in front of it. They ignore the configuration of the machine
// and of the user. The given options take precedence over the others.
func (s *SSHD) Args(tb testing.TB, key *Key, addr string, options ...string) []string {
	tb.Helper()
	return clientArgs(tb, s.User, s.HostKey, key, addr, options)
}

// Args is as [SSHD.Args].
func (s *GoServer) Args(tb testing.TB, key *Key, addr string, options ...string) []string {
	tb.Helper()
	return clientArgs(tb, "user", s.HostKey, key, addr, options)
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

// Tool returns the file name of an installed program, or ends the test as
// [testns.Lacks] does.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	testns.Require(tb, name)
	file, err := exec.LookPath(name)
	require.NoError(tb, err)
	return file
}

// Transport returns the name of a script for sftp's option -S. It ignores its
// arguments and runs the command. Option -D would do, but before OpenSSH 9.1 it
// takes a command without arguments.
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

// Built builds programs, so that later calls of [Program] in this test and in its
// child processes return them. Call it before testns.Inside, whose child process
// inherits the environment.
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
