package dscp_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// fastPaths are the copies for which net uses sendfile, splice or writev, and the system
// call that a pinned conn must use too. It uses none for the last one, as the
// documentation of Conn says. If that changes, change the documentation.
var fastPaths = []struct {
	name    string
	syscall string // sendfile, splice, writev; none if empty
	passes  int    // how often each byte passes through it
	copies  func(t *testing.T, w *workbench) error
}{
	{"io.Copy(conn, file)", "sendfile", 1, func(t *testing.T, w *workbench) error {
		_, err := io.Copy(w.out, w.file(t))
		return err
	}},
	{"io.CopyN(conn, file, n)", "sendfile", 1, func(t *testing.T, w *workbench) error {
		_, err := io.CopyN(w.out, w.file(t), payload)
		return err
	}},
	{"io.Copy(conn, conn)", "splice", 2, func(_ *testing.T, w *workbench) error {
		_, err := io.Copy(w.out, w.in)
		return err
	}},
	{"io.CopyN(conn, conn, n)", "splice", 2, func(_ *testing.T, w *workbench) error {
		_, err := io.CopyN(w.out, w.in, payload)
		return err
	}},
	{"conn.ReadFrom(conn)", "splice", 2, func(_ *testing.T, w *workbench) error {
		_, err := w.out.ReadFrom(w.in)
		return err
	}},
	{"io.Copy(conn, bare)", "splice", 2, func(_ *testing.T, w *workbench) error {
		_, err := io.Copy(w.out, w.in.TCPConn)
		return err
	}},
	{"io.Copy(bare, conn)", "splice", 2, func(_ *testing.T, w *workbench) error {
		_, err := io.Copy(w.out.TCPConn, w.in)
		return err
	}},
	{"net.Buffers", "writev", 1, func(_ *testing.T, w *workbench) error {
		buffers := net.Buffers{w.data[:1], w.data[1 : payload/2], w.data[payload/2:]}
		_, err := buffers.WriteTo(w.out)
		return err
	}},
	{"io.CopyN(bare, conn, n)", "", 0, func(_ *testing.T, w *workbench) error {
		_, err := io.CopyN(w.out.TCPConn, w.in, payload)
		return err
	}},
}

const payload = 1 << 20

// A workbench has two pinned conns: data arrives on in, and the bytes written to out must
// equal it.
type workbench struct {
	in, out *dscp.Conn
	data    []byte
	path    string
}

func (w *workbench) file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(w.path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() }) //nolint:errcheck,gosec // only read
	return f
}

// TestFastPathChild makes one copy, in the process that TestFastPaths traces.
func TestFastPathChild(t *testing.T) {
	name := os.Getenv("DSCP_FAST_PATH")
	if name == "" {
		t.Skip("runs only as a child of TestFastPaths")
	}
	w := &workbench{data: bytes.Repeat([]byte("octet of"), payload/8), path: filepath.Join(t.TempDir(), "data")}
	require.NoError(t, os.WriteFile(w.path, w.data, 0o600))
	source, in := families[0].connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{}))
	out, drain := families[0].connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{}))
	w.in, w.out = in.(*dscp.Conn), out.(*dscp.Conn)
	sent := make(chan error, 1)
	go func() {
		_, err := source.Write(w.data)
		sent <- errors.Join(err, source.Close())
	}()
	arrived := make(chan []byte)
	go func() {
		b, err := io.ReadAll(drain)
		assert.NoError(t, err)
		arrived <- b
	}()
	for _, p := range fastPaths {
		if p.name == name {
			require.NoError(t, p.copies(t, w))
		}
	}
	require.NoError(t, w.out.Close())
	require.True(t, bytes.Equal(w.data, <-arrived), "the data that arrived equals the data sent")
	_, err := io.Copy(io.Discard, w.in) // unread if the copy did not read from in
	require.NoError(t, err)
	require.NoError(t, <-sent)
}

// traced matches a call in strace's output that transferred bytes, even if strace splits
// it into two lines.
var traced = regexp.MustCompile(`(sendfile|splice|writev)(?:64)?(?:\(| resumed>).* = (\d+)$`)

// strace runs a test with env in a child process and returns strace's output.
func strace(t *testing.T, calls, test, env string) string {
	t.Helper()
	testns.Require(t, "strace")
	self, err := os.Executable()
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", "-f", "-qq", "-e", "signal=none", "-e", "trace="+calls, "-o", log, self, "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "ptrace(") {
		testns.Lacks(t, "strace may not trace: %s", out)
	}
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP: "+test) {
		testns.Lacks(t, "what is to be traced was skipped:\n%s", out)
	}
	trace, err := os.ReadFile(log)
	require.NoError(t, err)
	return string(trace)
}

// TestFastPaths counts the bytes that passed through sendfile, splice and writev.
func TestFastPaths(t *testing.T) {
	t.Parallel()
	for _, p := range fastPaths {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			trace := strace(t, "sendfile,?sendfile64,splice,writev", "TestFastPathChild", "DSCP_FAST_PATH="+p.name)
			got := map[string]int{}
			for line := range strings.Lines(trace) {
				if m := traced.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
					n, err := strconv.Atoi(m[2])
					require.NoError(t, err)
					got[m[1]] += n
				}
			}
			want := map[string]int{}
			if p.syscall != "" {
				want[p.syscall] = p.passes * payload
			}
			assert.Equal(t, want, got, "bytes by system call")
		})
	}
}
