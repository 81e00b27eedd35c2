package sshtest_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/wire"
)

// patience is how long a program may take before its test fails.
const patience = 30 * time.Second

// A site is a stock sshd, with or without a NAT, and a user's ssh configuration.
type site struct {
	*testing.T
	config string // file name of the configuration
	sshd   *sshtest.SSHD
	addr   string              // the address to which the client connects
	box    *dscptest.Middlebox // nil without a NAT
	inside dscptest.Side       // the side behind the NAT; without one, the side whose marks count
	home   string
}

// atSite are the options of newSite.
type atSite struct {
	sshd   []string // lines of sshd_config
	inside dscptest.Side
	models []dscptest.Model // of the NAT; nil: no NAT
}

// newSite starts the servers of a site.
func newSite(t *testing.T, at atSite) *site {
	t.Helper()
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key, at.sshd...)
	s := &site{T: t, config: filepath.Join(t.TempDir(), "config"), sshd: sshd, addr: sshd.Addr, inside: at.inside}
	// The name of a Unix socket in it must be short.
	var err error
	s.home, err = os.MkdirTemp("", "ssh")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(s.home)) })
	if s.inside == 0 {
		s.inside = dscptest.Client
	}
	if at.models != nil {
		s.box, err = dscptest.Config{Upstream: sshd.Addr, Models: at.models, Inside: s.inside}.Start()
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.box.Close()) })
		s.addr = s.box.Addr()
	}
	host, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	lines := "Host work\n    HostName " + host + "\n    Port " + port + "\n    User " + sshd.User +
		"\n    IdentityFile " + key.File + "\n    IdentitiesOnly yes\n    IdentityAgent none\n    BatchMode yes" +
		"\n    UserKnownHostsFile " + sshtest.KnownHosts(t, sshd.HostKey, s.addr) + "\n"
	require.NoError(t, os.WriteFile(s.config, []byte(lines), 0o600))
	return s
}

// adds appends to the configuration.
func (s *site) adds(text string) {
	s.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(s, err)
	_, err = f.WriteString(text)
	require.NoError(s, err)
	require.NoError(s, f.Close())
}

// addsPrintedConfig appends what proxycommand -print-config prints.
func (s *site) addsPrintedConfig(options ...string) {
	s.Helper()
	printed, err := exec.Command(sshtest.Program(s, "proxycommand"), append(options, "-print-config")...).Output()
	require.NoError(s, err)
	s.adds(string(printed))
}

// command returns a command whose ssh uses the configuration. It is killed after
// patience.
func (s *site) command(name string, args ...string) *exec.Cmd {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	s.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, sshtest.Tool(s, name), args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh", "HOME="+s.home, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_SSH_COMMAND=ssh -F "+s.config, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	return cmd
}

// runs runs such a command and returns its output.
func (s *site) runs(name string, args ...string) (output string, err error) {
	s.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	return string(out), err
}

// waits waits until done is true or the program has ended, and returns done.
func (s *site) waits(ended <-chan struct{}, done func() bool) bool {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-ended:
			return done()
		case <-deadline:
			require.Fail(s, "condition not met in time", "%s", s.sshd.Log())
		case <-tick.C:
		}
	}
	return true
}

// A sighting is the result of a use of ssh.
type sighting struct {
	ok       bool // it succeeded
	output   string
	loggedIn bool
	marks    []dscp.CodePoint // of the inside side, each that differs from the one before
	verdict  dscptest.Verdict // of the NAT, if there is one
}

// does uses ssh once, on one connection, and captures all packets. The test must run
// in its own network namespace.
func (s *site) does(use string) sighting {
	s.Helper()
	addr := netip.MustParseAddrPort(s.addr)
	if s.inside == dscptest.Server {
		addr = netip.MustParseAddrPort(s.sshd.Addr)
	}
	capture := wire.Start(s, "lo", addr.Port())
	var saw sighting
	saw.output, saw.ok = s.uses(use, capture)
	for _, p := range capture.Until(wire.Closed(1)) {
		from := p.Src
		if s.inside == dscptest.Client {
			from = p.Dst
		}
		if cp := dscp.CodePoint(p.DSCP()); from == addr && !p.Ownerless() && (len(saw.marks) == 0 || saw.marks[len(saw.marks)-1] != cp) {
			saw.marks = append(saw.marks, cp)
		}
	}
	saw.loggedIn = strings.Contains(s.sshd.Log(), "Accepted publickey")
	if s.box != nil {
		flows := s.box.Flows()
		require.Len(s, flows, 1, saw.output)
		saw.verdict = flows[0].Verdict
	}
	return saw
}

func (s *site) uses(use string, capture *wire.Capture) (output string, ok bool) {
	s.Helper()
	switch use {
	case useTerminal:
		return s.terminal(nil)
	case useJoin:
		return s.joins()
	case useExec:
		out, err := s.runs("ssh", "-F", s.config, "work", "head -c 300000 /dev/zero | tr '\\0' x")
		return brief(out), err == nil && out == strings.Repeat("x", 300000)
	case useSCP, useSFTP:
		return s.copies(use)
	case useGit:
		return s.clones()
	case useIdle:
		return s.idles(capture)
	case useForward:
		return s.forwards(capture)
	}
	require.Fail(s, "no such use", use)
	return "", false
}

// brief returns the end of a program's output.
func brief(out string) string { return strings.TrimSpace(out[max(0, len(out)-300):]) }

// terminal types into a shell. It calls between while the shell is open.
func (s *site) terminal(between func(ended <-chan struct{}), options ...string) (output string, ok bool) {
	s.Helper()
	p := sshtest.StartTerminal(s, s.command("ssh", append(append([]string{"-F", s.config, "-tt"}, options...), "work")...))
	p.Type("stty -echo; echo $((6*7))\n")
	if s.waits(p.Ended(), func() bool { return strings.Contains(p.Output(), "42\r\n") }) {
		if between != nil {
			between(p.Ended())
		}
		p.Type("head -c 100000 /dev/zero | tr '\\0' x | tail -c 5; echo $((6*8)); exit 7\n")
	}
	return brief(p.Output()), p.Wait() == 7 && strings.Contains(p.Output(), "xxxxx48\r\n")
}

// joins runs a command over the connection of a terminal. ok is the terminal's.
func (s *site) joins() (output string, ok bool) {
	s.Helper()
	control := filepath.Join(s.home, "control")
	return s.terminal(func(ended <-chan struct{}) {
		if !s.waits(ended, func() bool { _, err := os.Stat(control); return err == nil }) {
			return
		}
		// With this ProxyCommand the command fails if it cannot join.
		out, err := s.runs("ssh", "-F", s.config, "-S", control, "-o", "ProxyCommand=false", "-o", "ProxyUseFdpass=no", "work", "echo joined")
		s.Logf("the command: %q, %v", out, err)
	}, "-M", "-S", control)
}

// copies puts a file of four megabytes on the server; with sftp it also gets it back.
func (s *site) copies(use string) (output string, ok bool) {
	s.Helper()
	f, there := newFile(s.T, 4<<20), filepath.Join(s.home, "there")
	got := there
	var out string
	var err error
	if use == useSCP {
		out, err = s.runs("scp", "-q", "-F", s.config, f.name, "work:"+there)
	} else {
		got = filepath.Join(s.home, "back")
		sftp := s.command("sftp", "-q", "-F", s.config, "-b", "-", "work")
		sftp.Stdin = strings.NewReader("put " + f.name + " " + there + "\nget " + there + " " + got + "\n")
		var said []byte
		said, err = sftp.CombinedOutput()
		out = string(said)
	}
	want, _ := os.ReadFile(f.name)
	is, _ := os.ReadFile(got)
	return brief(out), err == nil && string(want) == string(is)
}

// clones clones a repository.
func (s *site) clones() (output string, ok bool) {
	s.Helper()
	there, here := s.repository(), filepath.Join(s.home, "clone")
	out, err := s.runs("git", "clone", "-q", "ssh://work"+there, here)
	_, missing := os.Stat(filepath.Join(here, "file"))
	return brief(out), err == nil && missing == nil
}

// repository makes a repository with one commit of a megabyte.
func (s *site) repository() string {
	s.Helper()
	f := newFile(s.T, 1<<20)
	dir := filepath.Dir(f.name)
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-qm", "One"}} {
		out, err := s.runs("git", append([]string{"-C", dir}, args...)...)
		require.NoError(s, err, out)
	}
	return dir
}

// starts starts ssh. said waits for its end and returns its output.
func (s *site) starts(args ...string) (process *os.Process, ended <-chan struct{}, said func() string) {
	s.Helper()
	var out strings.Builder
	cmd := s.command("ssh", append([]string{"-F", s.config}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(s, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	s.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
	return cmd.Process, done, func() string { <-done; return brief(out.String()) }
}

// keepsAlive makes ssh send a keep-alive after one second without data from sshd.
var keepsAlive = []string{"-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=30"}

// staysUp waits for a keep-alive and its answer, which have the connection's final
// mark, and reports whether they came. It recognises them by the 800 ms of silence
// before them, since ssh sends one after a second of silence.
func (s *site) staysUp(ended <-chan struct{}, capture *wire.Capture) bool {
	s.Helper()
	seen, quiet := -1, time.Now()
	return s.waits(ended, func() bool {
		packets := capture.Packets()
		if silent := time.Since(quiet) > 800*time.Millisecond; !silent || seen < 0 {
			if len(packets) != seen {
				seen, quiet = len(packets), time.Now()
			}
			return false
		}
		data := map[netip.AddrPort]bool{}
		for _, p := range packets[seen:] {
			if p.Len > 0 {
				data[p.Src] = true
			}
		}
		return len(data) == 2
	})
}

// idles logs in without a session.
func (s *site) idles(capture *wire.Capture) (output string, ok bool) {
	s.Helper()
	up := filepath.Join(s.home, "up")
	ssh, ended, said := s.starts(append(keepsAlive, "-N", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=touch "+up, "work")...)
	ok = s.waits(ended, func() bool { _, err := os.Stat(up); return err == nil }) && s.staysUp(ended, capture)
	ssh.Signal(syscall.SIGTERM)
	return said(), ok
}

// forwards logs in without a session, and sends a megabyte through a forwarded
// port.
func (s *site) forwards(capture *wire.Capture) (output string, ok bool) {
	s.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			io.CopyN(c, zeros{}, 1<<20)
			c.Close()
		}
	}()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s, err)
	require.NoError(s, free.Close())
	near := free.Addr().String()
	ssh, ended, said := s.starts(append(keepsAlive, "-N", "-o", "ExitOnForwardFailure=yes", "-L", near+":"+l.Addr().String(), "work")...)
	var c net.Conn
	if s.waits(ended, func() bool { c, err = net.Dial("tcp", near); return err == nil }) {
		c.SetDeadline(time.Now().Add(patience))
		n, err := io.Copy(io.Discard, c)
		c.Close()
		ok = n == 1<<20 && err == nil && s.staysUp(ended, capture)
	}
	ssh.Signal(syscall.SIGTERM)
	return said(), ok
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// fatal returns the index of the first mark whose IP precedence differs from that of
// the first, at which VMware's NAT resets the flow, or -1.
func fatal(marks []dscp.CodePoint) int {
	return slices.IndexFunc(marks, func(cp dscp.CodePoint) bool { return cp.Precedence() != marks[0].Precedence() })
}
