package sshtest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// A GoServer is examples/sshserver.
type GoServer struct {
	Addr    string // host:port on loopback
	HostKey ssh.PublicKey

	cmd   *exec.Cmd
	mu    sync.Mutex
	log   []string
	ended chan struct{} // closed when the log is complete
}

var listening = regexp.MustCompile(`msg=listening addr=(\S+)`)

// StartGoServer starts examples/sshserver on 127.0.0.1, with further options, and
// stops it at the end of the test. The server accepts the key.
func StartGoServer(tb testing.TB, key *Key, options ...string) *GoServer {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, os.Chmod(dir, 0o700)) // the umask may allow more
	authorized := filepath.Join(dir, "authorized_keys")
	require.NoError(tb, os.WriteFile(authorized, []byte(key.Line), 0o600))
	hostKey := NewKey(tb, "")
	args := append([]string{"-listen", "127.0.0.1:0", "-hostkey", hostKey.File, "-authorized-keys", authorized}, options...)
	s := &GoServer{HostKey: hostKey.Signer.PublicKey(), ended: make(chan struct{})}
	s.cmd = exec.Command(Program(tb, "sshserver"), args...)
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "SHELL=/bin/sh")
	stderr, err := s.cmd.StderrPipe()
	require.NoError(tb, err)
	require.NoError(tb, s.cmd.Start())
	addr := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			s.mu.Lock()
			s.log = append(s.log, scanner.Text())
			s.mu.Unlock()
			if m := listening.FindStringSubmatch(scanner.Text()); m != nil {
				addr <- m[1]
			}
		}
	}()
	tb.Cleanup(func() {
		s.Signal(syscall.SIGTERM)
		s.Wait(tb)
		if tb.Failed() {
			tb.Logf("sshserver on %s:\n%s", s.Addr, s.Log())
		}
	})
	select {
	case s.Addr = <-addr:
	case <-s.ended:
		tb.Fatalf("sshserver ended before it listened:\n%s", s.Log())
	case <-time.After(patience):
		tb.Fatalf("sshserver does not listen after %v", patience)
	}
	return s
}

// Log returns what the server has logged.
func (s *GoServer) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// PID returns the server's process number.
func (s *GoServer) PID() int { return s.cmd.Process.Pid }

// Signal sends a signal to the server if it is still running.
func (s *GoServer) Signal(sig os.Signal) { s.cmd.Process.Signal(sig) }

// Wait waits until the server has ended, and returns its exit status.
func (s *GoServer) Wait(tb testing.TB) int {
	tb.Helper()
	select {
	case <-s.ended: // before Wait, which would close the pipe
	case <-time.After(patience):
		tb.Errorf("sshserver does not end after %v", patience)
		s.cmd.Process.Kill()
		<-s.ended
	}
	if s.cmd.ProcessState == nil {
		s.cmd.Wait()
	}
	return s.cmd.ProcessState.ExitCode()
}
