package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCancelled(t *testing.T) {
	needBox(t)
	for _, args := range [][]string{nil, {"-target", "localhost:1"}} {
		var out, errs bytes.Buffer
		assert.Equal(t, 130, run(cancelledContext(t), args, &out, &errs), errs.String())
		assert.Equal(t, "vmware: interrupted\n", errs.String())
	}
}

// cancelWriter cancels a context when something has been written.
type cancelWriter struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (w *cancelWriter) Write(p []byte) (int, error) {
	w.cancel()
	return w.Buffer.Write(p)
}

func TestCancelledMidway(t *testing.T) {
	needBox(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	var errs bytes.Buffer
	out := &cancelWriter{cancel: cancel}
	assert.Equal(t, 130, run(ctx, []string{"-json"}, out, &errs), errs.String())
	assert.Equal(t, 1, strings.Count(out.String(), "\n"), "rows after the interrupt")
	assertNothingLeft(t, tmp)
}

func TestLeavesNothingBehind(t *testing.T) {
	needBox(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, status, stderr := runJSON(t, "-4")
	assert.Zero(t, status, stderr)
	assertNothingLeft(t, tmp)
}

// assertNothingLeft looks for files in tmp and for goroutines of the program.
func assertNothingLeft(t *testing.T, tmp string) {
	t.Helper()
	files, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, files)
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		var stacks bytes.Buffer
		require.NoError(c, pprof.Lookup("goroutine").WriteTo(&stacks, 2))
		for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
			ours := strings.Contains(stack, "x/crypto/ssh") || strings.Contains(stack, "dscptest.") ||
				strings.Contains(stack, "net/http.")
			assert.False(c, ours, stack)
		}
	}, 10*time.Second, 50*time.Millisecond) // more often, it would stop the goroutines on a slow processor
}

// TestInterrupt claims that an interrupt, while ssh hangs, ends the program and its ssh,
// and that the program removes the directory with the keys.
func TestInterrupt(t *testing.T) {
	needBox(t)
	if len(interrupts) < 2 {
		skip(t, "no signals to send on this system")
	}
	bin, tmp := t.TempDir(), t.TempDir()
	pid := filepath.Join(bin, "pid")
	fakeSSH(t, bin, answers+`echo $$ > "`+pid+`"; exec sleep 60`)

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=1", "PATH="+bin+":/usr/bin:/bin", "TMPDIR="+tmp)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()

	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "OpenSSH 10.1") { // the row before ssh's
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest := 0
	for lines.Scan() {
		rest++
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	assert.Equal(t, 130, exit.ExitCode())
	assert.Equal(t, "vmware: interrupted\n", stderr.String())
	assert.Zero(t, rest, "rows after the interrupt")
	files, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, files)
	// Without a process number in the file, the script has not started.
	if text, _ := os.ReadFile(pid); len(text) > 0 {
		assert.NoDirExists(t, filepath.Join("/proc", strings.TrimSpace(string(text))))
	}
}

// fakeSSH puts a shell script named ssh into the directory bin.
func fakeSSH(t *testing.T, bin, script string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}
