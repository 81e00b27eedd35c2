package sshtest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/internal/testns"
)

// An SSHD is a running OpenSSH server.
type SSHD struct {
	Addr    string // host:port on loopback
	User    string // the only login name that it accepts
	HostKey ssh.PublicKey

	cmd  *exec.Cmd
	mu   sync.Mutex
	log  []string
	done chan struct{} // closed when all its processes have ended
}

// Daemon returns the absolute file name of the installed sshd, or ends the test as
// [testns.Lacks] does. sshd does not start by a relative name.
func Daemon(tb testing.TB) string {
	tb.Helper()
	sshd, err := exec.LookPath("sshd")
	if err == nil {
		return sshd
	}
	sshd = "/usr/sbin/sshd" // this directory may not be in PATH
	if _, err := os.Stat(sshd); err != nil {
		testns.Lacks(tb, "no sshd: %v", err)
	}
	return sshd
}

// Effective returns the configuration that the installed sshd prints with -T for the
// given lines of sshd_config.
func Effective(tb testing.TB, config ...string) []byte {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "sshd_config")
	lines := append([]string{"HostKey " + NewKey(tb, "").File}, config...)
	require.NoError(tb, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	cmd, _ := sshdCommand(tb, dir, Daemon(tb), "-T", "-f", file)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		testns.Lacks(tb, "sshd -T does not run here: %v: %s", err, &stderr)
	}
	return printed
}

// StartSSHD starts the installed sshd with OpenSSH's defaults and the given lines of
// sshd_config, and stops it at the end of the test. It listens on 127.0.0.1, or on a
// ListenAddress among the lines, and accepts the key.
func StartSSHD(tb testing.TB, key *Key, config ...string) *SSHD {
	tb.Helper()
	sshd := Daemon(tb)
	dir := tb.TempDir()
	hostKey := NewKey(tb, "")
	authorized := filepath.Join(dir, "authorized_keys")
	require.NoError(tb, os.WriteFile(authorized, []byte(key.Line), 0o600))

	host := "127.0.0.1"
	for _, line := range config {
		if a, ok := strings.CutPrefix(line, "ListenAddress "); ok {
			host = strings.Trim(a, "[]")
		}
	}
	lines := append([]string{
		"ListenAddress " + host,
		"HostKey " + hostKey.File,
		"AuthorizedKeysFile " + authorized,
		"PidFile none",
		"StrictModes no", // other users may be able to write to a parent of the test's directory
		"UsePAM no",
		"UseDNS no",
		"PrintMotd no",
		"PrintLastLog no",
		"PermitRootLogin yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"Subsystem sftp internal-sftp",
		"SetEnv HOME=" + dir + " HISTFILE=", // no start-up files, and no history file at the end
		"LogLevel VERBOSE",
	}, config...)
	file := filepath.Join(dir, "sshd_config")
	require.NoError(tb, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))

	for range 10 { // another process may take the free port first
		s := &SSHD{Addr: freeAddr(tb, host), HostKey: hostKey.Signer.PublicKey(), done: make(chan struct{})}
		if s.start(tb, sshd, file, dir) {
			return s
		}
	}
	tb.Fatal("no free port for sshd in 10 attempts")
	return nil
}

// KillSessions kills the processes of all sessions, so that their connections end
// without an SSH message.
func (s *SSHD) KillSessions() {
	for _, pid := range Descendants(s.cmd.Process.Pid) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Log returns what the server has logged.
func (s *SSHD) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

func freeAddr(tb testing.TB, host string) string {
	tb.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	require.NoError(tb, err)
	require.NoError(tb, l.Close())
	return l.Addr().String()
}

// start starts the server and reports whether it got its port.
func (s *SSHD) start(tb testing.TB, sshd, config, dir string) bool {
	tb.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(tb, err)
	s.cmd, s.User = sshdCommand(tb, dir, sshd, "-D", "-e", "-f", config, "-p", port)
	r, w, err := os.Pipe()
	require.NoError(tb, err)
	s.cmd.Stderr = w
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		testns.Lacks(tb, "sshd cannot run as this user: %v", err)
	}
	listening := make(chan bool, 1)
	go s.read(r, listening)
	select {
	case ok := <-listening:
		if ok {
			tb.Cleanup(func() { s.stop(tb) })
			return true
		}
	case <-time.After(patience):
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	<-s.done
	if strings.Contains(s.Log(), "Address already in use") {
		return false
	}
	testns.Lacks(tb, "sshd does not start here:\n%s", s.Log())
	return false
}

// read collects the log until the last process of the server has ended. It sends
// true when the server listens, or false if it ended before.
func (s *SSHD) read(r *os.File, listening chan<- bool) {
	defer close(s.done)
	defer r.Close()
	told := false
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		line := scanner.Text()
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		if !told && strings.Contains(line, "Server listening on") {
			listening <- true
			told = true
		}
	}
	if !told {
		listening <- false
	}
}

// stop ends the server and its sessions.
func (s *SSHD) stop(tb testing.TB) {
	sessions := Descendants(s.cmd.Process.Pid)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
	for _, pid := range sessions {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		tb.Errorf("a process of sshd still runs after %v", patience)
	}
	if tb.Failed() {
		tb.Logf("sshd on %s:\n%s", s.Addr, s.Log())
	}
}
