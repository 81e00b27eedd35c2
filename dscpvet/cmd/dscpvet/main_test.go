package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program is a tool of go vet: on a module, it finds a late mark that a helper
// in another package sets, and prints it as JSON with -json.
func TestGoVetRunsTool(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "dscpvet")
	build := exec.Command("go", "build", "-o", tool, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	dir := t.TempDir()
	for name, source := range map[string]string{
		"go.mod":       "module example.com/late\n\ngo 1.26\n",
		"mark/mark.go": mark,
		"dial.go":      dial,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o644))
	}
	vet := func(name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	text, err := vet("go", "vet", "-vettool="+tool, "./...")
	require.Error(t, err, "findings fail the command")
	assert.Contains(t, text, "dial.go:14:17: late: TOS, which sets IP_TOS, marks a connection that is up (dialed on line 10)")
	assert.Equal(t, 2, strings.Count(text, "dial.go:"), text) // late, family

	text, err = vet(tool, "-dscpvet.family=false", "./...")
	require.Error(t, err)
	assert.Contains(t, text, "late: ")
	assert.NotContains(t, text, "family: ")

	text, err = vet("go", "vet", "-json", "-vettool="+tool, "./...")
	require.NoError(t, err, text)
	text = text[strings.Index(text, "{"):]
	type diagnostic struct{ Category, Posn, Message string }
	var found []diagnostic
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var got map[string]map[string][]diagnostic
		require.NoError(t, d.Decode(&got), text)
		found = append(found, got["example.com/late"]["dscpvet"]...)
	}
	require.Len(t, found, 2, text)
	assert.Equal(t, "late", found[0].Category)
	assert.True(t, strings.HasPrefix(found[0].Message, "late: "))
}

const mark = `package mark

import (
	"net"
	"syscall"
)

func TOS(c net.Conn, tos int) error {
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = rc.Control(func(fd uintptr) {
		opErr = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, tos)
	})
	if err != nil {
		return err
	}
	return opErr
}
`

const dial = `package late

import (
	"net"

	"example.com/late/mark"
)

func dial(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return c, mark.TOS(c, 0xb8)
}
`
