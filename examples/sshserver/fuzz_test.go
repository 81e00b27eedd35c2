//go:build unix

package main

import (
	"encoding/base64"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// FuzzAuthorizedKeys claims that authorize accepts a key only if a line has it, not
// commented out and with no options except harmless ones.
func FuzzAuthorizedKeys(f *testing.F) {
	key, other := sshtest.NewKey(f, ""), sshtest.NewKey(f, "")
	const here = "<key>"
	for _, s := range []string{
		here, "#" + here, "# a comment\n\n" + here + " me@home\n", other.Line + here, `command="x" ` + here, "restrict " + here,
		"no-pty " + here, "no-port-forwarding,no-user-rc " + here, `from="a b#` + "\n" + here, "x " + here, " \t" + here, here + here, "cert-authority " + here,
		"\x00" + here, `no-X11-forwarding,environment="A=\" ` + here + `" ` + other.Line,
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	require.NoError(f, os.Chmod(dir, 0o700))
	f.Setenv("HOME", dir)
	file := filepath.Join(dir, "authorized_keys")
	ours := strings.TrimSuffix(key.Line, "\n")
	blob := base64.StdEncoding.EncodeToString(key.Signer.PublicKey().Marshal())
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, here, ours)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		if authorize(file, key.Signer.PublicKey()) != nil {
			return
		}
		stands := false
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line) // to x/crypto, unlike OpenSSH, a form feed is space
			before, _, found := strings.Cut(line, blob)
			if !found || strings.HasPrefix(line, "#") {
				continue
			}
			before = strings.TrimSpace(before)
			before = strings.TrimSuffix(before, "ssh-ed25519")
			options := strings.TrimSpace(before)
			all := true
			for o := range strings.SplitSeq(options, ",") {
				all = all && (o == "" || harmless[o])
			}
			stands = stands || all
		}
		require.True(t, stands, "%q", text)
	})
}

// FuzzRequests claims that arbitrary requests of a client after login queue only a
// bounded number of signals and sizes, and set only LANG and LC_ variables.
func FuzzRequests(f *testing.F) {
	f.Add("pty-req", ssh.Marshal(struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}{"xterm", 80, 24, 0, 0, "\x00"}))
	f.Add("env", ssh.Marshal(struct{ Name, Value string }{"LC_ALL", "C"}))
	f.Add("env", ssh.Marshal(struct{ Name, Value string }{"LD_PRELOAD", "/tmp/x.so"}))
	f.Add("env", ssh.Marshal(struct{ Name, Value string }{"LC_X=1\nLD_PRELOAD", "x"}))
	f.Add("signal", ssh.Marshal(struct{ Name string }{"TERM"}))
	f.Add("window-change", ssh.Marshal(struct{ A, B, C, D uint32 }{1 << 31, 2, 3, 4}))
	f.Add("subsystem", ssh.Marshal(struct{ Name string }{"sftp"}))
	f.Add("exec", []byte{0, 0, 0, 9, 'x'})
	server := &server{account: account{name: "me", home: "/", shell: "/bin/sh"}}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		s := newSession(server, log, noAddr{}, nil, nil)
		before := len(s.env)
		requests := make(chan *ssh.Request, 20)
		for range cap(requests) {
			requests <- &ssh.Request{Type: kind, Payload: payload}
		}
		close(requests)
		if kind == "shell" || kind == "exec" || kind == "subsystem" {
			s.what(<-requests) // serve would run the command
			return
		}
		s.serve(t.Context(), requests)
		for _, variable := range s.env[before:] {
			name, _, ok := strings.Cut(variable, "=")
			require.True(t, ok)
			require.True(t, name == "LANG" || strings.HasPrefix(name, "LC_"), "%q", variable)
		}
		require.LessOrEqual(t, len(s.signals), cap(s.signals))
		require.LessOrEqual(t, len(s.resized), 1)
	})
}

// noAddr is a conn without addresses.
type noAddr struct{ net.Conn }

func (noAddr) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (noAddr) RemoteAddr() net.Addr { return &net.UnixAddr{} }
