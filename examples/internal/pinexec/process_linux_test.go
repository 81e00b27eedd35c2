//go:build amd64 || arm64

package pinexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/seccomp"
)

func init() {
	probes["process"] = probeProcess
	probes["supervisor"] = probeSupervisor
	probes["daemon"] = probeDaemon
	probes["exec"] = probeExec
	probes["godscp"] = probeGodscp
}

// probeProcess prints the attributes that the process inherits from its caller.
func probeProcess([]string) {
	fmt.Println("pid", os.Getpid())
	fmt.Println("arguments", len(os.Args))
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(to, "anon_inode") {
			fmt.Println("descriptor", e.Name(), strings.TrimRight(to, "0123456789]"))
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigIgn") || strings.HasPrefix(line, "SigBlk") {
			fmt.Print(line)
		}
	}
	var death int32
	err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&death)), 0, 0, 0)
	fmt.Println("signal at the parent's death", death, err)
	sid, _ := unix.Getsid(0)
	fmt.Println("group", unix.Getpgrp(), "session", sid)
	dir, _ := os.Getwd()
	fmt.Println("directory", dir, "parent", os.Getppid(), "HOME", os.Getenv("HOME"), "variables", len(os.Environ()))
	var ws unix.WaitStatus
	_, err = unix.Wait4(-1, &ws, unix.WNOHANG, nil)
	fmt.Println("children", err)
}

// TestProcessAttributesUnchanged claims that the program has the same process attributes as without
// pinexec.
func TestProcessAttributesUnchanged(t *testing.T) {
	t.Parallel()
	p := probe(t, "process")
	pipe, other, err := os.Pipe()
	require.NoError(t, err)
	defer pipe.Close()
	defer other.Close()
	runtime.LockOSThread() // the end of this thread would send the child Pdeathsig
	defer runtime.UnlockOSThread()
	run := func(cmd *exec.Cmd) string {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		cmd.ExtraFiles = []*os.File{pipe, nil, other}
		cmd.Dir = t.TempDir()
		var out bytes.Buffer
		cmd.Stdout = &out
		require.NoError(t, cmd.Start())
		pid := cmd.Process.Pid
		require.NoError(t, cmd.Wait())
		text := strings.ReplaceAll(out.String(), cmd.Dir, "DIR")
		return strings.ReplaceAll(text, strconv.Itoa(pid), "PID")
	}
	// This shell ignores signals that Go does not handle, and lowers limits. A second
	// shell prints the limits, since Go raises its own limit of open files.
	shell := `trap '' HUP INT TSTP; ulimit -S -n 100; ulimit -S -c 0; exec "$@"`
	p = append([]string{"/bin/sh", "-c", `cat /proc/$$/limits; exec "$@"`, "sh"}, p...)
	bare := run(exec.Command("/bin/sh", append([]string{"-c", shell, "sh"}, p...)...))
	assert.Contains(t, bare, "pid PID\n")
	assert.Contains(t, bare, "signal at the parent's death 15 <nil>\n")
	assert.Regexp(t, `Max open files +100 `, bare)
	pinexec := sshtest.Program(t, "pinexec")
	needFilters(t)
	for _, mark := range []string{"AF21", "DF"} {
		under := run(exec.Command("/bin/sh", append([]string{"-c", shell, "sh", pinexec, mark}, p...)...))
		assert.Equal(t, bare, under)
	}
}

// TestExitStatus claims that the exit status is the program's or, if the program
// did not run, that of env(1).
func TestExitStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, noInterpreter, notExecutable := filepath.Join(dir, "a-script"), filepath.Join(dir, "broken"), filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(script, []byte("echo script $1\n"), 0o755))
	require.NoError(t, os.WriteFile(noInterpreter, []byte("#!/no/such/program\n"), 0o755))
	require.NoError(t, os.WriteFile(notExecutable, nil, 0o644))
	for name, tt := range map[string]struct {
		args   []string
		status int
		out    string
	}{
		"success":               {[]string{"AF21", "true"}, 0, ""},
		"failure":               {[]string{"AF21", "sh", "-c", "exit 77"}, 77, ""},
		"125 of the program":    {[]string{"AF21", "sh", "-c", "exit 125"}, 125, ""},
		"a script without #!":   {[]string{"AF21", script, "x"}, 0, "script x\n"},
		"found in PATH":         {[]string{"DF", "a-script", "y"}, 0, "script y\n"},
		"not found":             {[]string{"AF21", "no-such-program"}, 127, "pinexec: no-such-program: no such file or directory\n"},
		"not found at a place":  {[]string{"AF21", "./no-such-program"}, 127, "pinexec: ./no-such-program: no such file or directory\n"},
		"empty":                 {[]string{"AF21", ""}, 127, "pinexec: : no such file or directory\n"},
		"no interpreter":        {[]string{"AF21", noInterpreter}, 127, "pinexec: " + noInterpreter + ": no such file or directory\n"},
		"not executable":        {[]string{"AF21", notExecutable}, 126, "pinexec: " + notExecutable + ": permission denied\n"},
		"not executable, found": {[]string{"AF21", "plain"}, 126, "pinexec: plain: permission denied\n"},
		"a directory":           {[]string{"AF21", dir}, 126, "pinexec: " + dir + ": permission denied\n"},
		"a wrong mark":          {[]string{"AF99", "true"}, 125, ""},
		"no mark":               {nil, 125, ""},
		"a log not writable":    {[]string{"-v=/no/such/file", "AF21", "true"}, 125, "pinexec: open /no/such/file: no such file or directory\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := pinned(t, tt.args)
			cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin:"+dir) // directories that every user can read
			out, _ := cmd.CombinedOutput()
			assert.Equal(t, tt.status, cmd.ProcessState.ExitCode(), "%s", out)
			if tt.out != "" {
				assert.Equal(t, tt.out, string(out))
			}
		})
	}
	t.Run("a signal", func(t *testing.T) {
		t.Parallel()
		cmd := pinned(t, nil, "AF21", "sh", "-c", "kill -TERM $$")
		require.Error(t, cmd.Run())
		assert.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	})
}

// supervisorOf returns the process number of the supervisor that process pid started.
func supervisorOf(pid int) (supervisor int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if strings.HasPrefix(string(text), fmt.Sprintf("%s\x00of %d\x00", supervisorName, pid)) {
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("process %d has no supervisor", pid)
}

// waitEnd waits until the process pid has ended, or for patience.
func waitEnd(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended already
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(patience)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return fmt.Errorf("process %d still runs after %v", pid, patience)
		default:
			return nil
		}
	}
}

// probeSupervisor looks at its supervisor, sends it signals, and kills it.
func probeSupervisor([]string) {
	pid, err := supervisorOf(os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	sid, _ := unix.Getsid(pid)
	mine, _ := unix.Getsid(0)
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	var held []string
	for _, e := range list {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if strings.Contains(to, "pipe") {
			held = append(held, to)
		}
	}
	dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	fmt.Println(sid != mine, held, dir)
	open := func(domain int) error {
		fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
		unix.Close(fd)
		return err
	}
	before := len(list)
	for range 50 {
		open(unix.AF_INET)
	}
	list, _ = os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	fmt.Println(len(list)-before < 25) // the supervisor may still hold the last socket for a moment
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE, unix.SIGUSR1, unix.SIGALRM, unix.SIGTSTP, unix.SIGTTOU} {
		if err := unix.Kill(pid, s); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(open(unix.AF_INET))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		fmt.Println(err)
	}
	if err := waitEnd(pid); err != nil {
		fmt.Println(err)
	}
	fmt.Println(open(unix.AF_INET), open(unix.AF_INET6), open(unix.AF_UNIX))
}

// TestSupervisor claims that only SIGKILL ends the supervisor, that it holds no
// descriptor of the program, and that without it socket(2) fails for Internet
// sockets.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	pipe, other, err := os.Pipe()
	require.NoError(t, err)
	defer pipe.Close()
	defer other.Close()
	cmd := pinned(t, []string{"AF21"}, probe(t, "supervisor")...)
	cmd.ExtraFiles = []*os.File{pipe, other}
	assert.Equal(t, lines("true [] /", "true", "<nil>", "function not implemented function not implemented <nil>"), output(t, cmd))
}

// probeDaemon starts a process that makes a socket after probeDaemon has ended.
func probeDaemon(args []string) {
	cmd := exec.Command("/bin/sh", "-c", `(setsid "$@" &)`, "sh", os.Args[0], probeWord, "exec", args[0], strconv.Itoa(os.Getpid()))
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
	}
}

// probeExec waits until process args[1] has ended, writes its own process number
// and the mark of a new socket to the file args[0], and runs until it is killed.
func probeExec(args []string) {
	pid, _ := strconv.Atoi(args[1])
	if err := waitEnd(pid); err != nil {
		panic(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	text := fmt.Sprint(err)
	if err == nil {
		text = markOf(fd)
	}
	if err := os.WriteFile(args[0]+".new", fmt.Appendf(nil, "%d %s", os.Getpid(), text), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(args[0]+".new", args[0]); err != nil {
		panic(err)
	}
	time.Sleep(3 * patience) // the test kills this process; if the test has failed, it ends itself
}

// TestDaemon claims that the supervisor serves a process which outlives the program,
// and ends after it.
func TestDaemon(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mark")
	cmd := pinned(t, []string{"AF21"}, probe(t, "daemon", file)...)
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	supervisor := 0
	require.Eventually(t, func() bool {
		var err error
		supervisor, err = supervisorOf(pid)
		return err == nil
	}, patience, time.Millisecond, "no supervisor")
	require.NoError(t, cmd.Wait())
	var text []byte
	require.Eventually(t, func() bool {
		text, _ = os.ReadFile(file)
		return len(text) > 0
	}, patience, time.Millisecond, "the daemon has made no socket")
	number, mark, _ := strings.Cut(string(text), " ")
	assert.Equal(t, "0x48", mark)
	assert.True(t, sshtest.Alive(supervisor))
	daemon, err := strconv.Atoi(number)
	require.NoError(t, err)
	require.NoError(t, unix.Kill(daemon, unix.SIGKILL))
	require.NoError(t, waitEnd(supervisor))
}

// TestNestedFails claims that pinexec fails under another pinexec and says so.
func TestNestedFails(t *testing.T) {
	t.Parallel()
	pinexec := sshtest.Program(t, "pinexec")
	for name, tt := range map[string]struct{ outer, inner []string }{
		"another mark":    {[]string{"AF21"}, []string{"EF"}},
		"the same mark":   {[]string{"AF21"}, []string{"AF21"}},
		"strict":          {[]string{"-strict", "AF21"}, []string{"EF"}},
		"DF inside":       {[]string{"AF21"}, []string{"DF"}},
		"DF outside":      {[]string{"DF"}, []string{"AF21"}},
		"DF, strict":      {[]string{"-strict", "DF"}, []string{"AF21"}},
		"DF in DF strict": {[]string{"-strict", "DF"}, []string{"DF"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frozen := tt.outer[len(tt.outer)-1]
			cmd := pinned(t, tt.outer, slices.Concat([]string{pinexec}, tt.inner, []string{"echo", "ran"})...)
			out, _ := cmd.CombinedOutput()
			assert.Equal(t, Failed, cmd.ProcessState.ExitCode(), "%s", out)
			assert.Contains(t, string(out), "sockets stay at "+frozen)
			assert.Contains(t, string(out), "under ")
			assert.Equal(t, 1, strings.Count(string(out), "\n"), "%s", out)
		})
	}
}

// TestSupervisedByAnother claims that pinexec fails, and says why, if another
// program supervises it already, as a container manager may.
func TestSupervisedByAnother(t *testing.T) {
	t.Parallel()
	pinexec := sshtest.Program(t, "pinexec")
	needFilters(t)
	type result struct {
		out []byte
		err error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		var p seccomp.Program
		p.Return(seccomp.Allow)
		l, err := p.InstallListener(false)
		if err != nil {
			results <- result{nil, err}
			return
		}
		defer l.Close()
		cmd := exec.Command(pinexec, "AF21", "true")
		out, err := cmd.CombinedOutput()
		results <- result{out, err}
	}()
	r := <-results
	var exit *exec.ExitError
	require.ErrorAs(t, r.err, &exit)
	assert.Equal(t, Failed, exit.ExitCode())
	assert.Contains(t, string(r.out), "supervised already")
	assert.Contains(t, string(r.out), "proxycommand -print-config")
}

// runUnder runs pinexec under another filter.
func runUnder(t *testing.T, p *seccomp.Program, args ...string) (status int, out string) {
	t.Helper()
	pinexec := sshtest.Program(t, "pinexec")
	needFilters(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := p.Install(); err != nil {
			done <- err
			return
		}
		cmd := exec.Command(pinexec, args...)
		text, err := cmd.CombinedOutput()
		out = string(text)
		if cmd.ProcessState != nil {
			status, err = cmd.ProcessState.ExitCode(), nil
		}
		done <- err
	}()
	require.NoError(t, <-done)
	return status, out
}

// TestFiltersForbidden claims that pinexec fails, and says why, in a container that
// permits no filters.
func TestFiltersForbidden(t *testing.T) {
	t.Parallel()
	var p seccomp.Program
	p.When(func() { p.Return(seccomp.Errno(unix.EPERM)) }, seccomp.Number.Is(unix.SYS_SECCOMP))
	p.Return(seccomp.Allow)
	for _, mark := range []string{"AF21", "DF"} {
		status, out := runUnder(t, &p, mark, "echo", "ran")
		assert.Equal(t, Failed, status, "%s", out)
		assert.Contains(t, out, "filters are not permitted")
		assert.Contains(t, out, "proxycommand -print-config")
	}
}

// TestOlderKernel claims that pinexec names the kernel version that it needs if
// seccomp(2) does not know the flag for a listener. DF works without that flag.
func TestOlderKernel(t *testing.T) {
	t.Parallel()
	var p seccomp.Program
	p.When(func() { p.Return(seccomp.Errno(unix.EINVAL)) }, seccomp.Number.Is(unix.SYS_SECCOMP), seccomp.Arg(1).AtLeast(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER))
	p.Return(seccomp.Allow)
	status, out := runUnder(t, &p, "AF21", "echo", "ran")
	assert.Equal(t, Failed, status, "%s", out)
	assert.Contains(t, out, "Linux 5.19")
	status, out = runUnder(t, &p, "DF", "echo", "ran")
	assert.Zero(t, status)
	assert.Equal(t, "ran\n", out)
}

// TestUnderSeal claims that pinexec fails, and says why, in a child of a program
// that has sealed itself.
func TestUnderSeal(t *testing.T) {
	t.Parallel()
	p, err := seccomp.Guard(1, seccomp.Option{Level: unix.IPPROTO_IP, Name: unix.IP_TOS}, seccomp.Option{Level: unix.IPPROTO_IPV6, Name: unix.IPV6_TCLASS})
	require.NoError(t, err)
	for _, mark := range []string{"AF21", "DF"} {
		status, out := runUnder(t, p, mark, "echo", "ran")
		assert.Equal(t, Failed, status, "%s", out)
		assert.Contains(t, out, "a program that has sealed itself: sockets stay at DF")
	}
}

// TestFilterWithoutEffect claims that pinexec does not run the program if
// seccomp(2) succeeds but installs no filter.
func TestFilterWithoutEffect(t *testing.T) {
	t.Parallel()
	var p seccomp.Program
	p.When(func() { p.Return(seccomp.Errno(0)) }, seccomp.Number.Is(unix.SYS_SECCOMP))
	p.Return(seccomp.Allow)
	for _, args := range [][]string{{"DF"}, {"-strict", "DF"}} {
		status, out := runUnder(t, &p, append(args, "echo", "ran")...)
		assert.Equal(t, Failed, status, "%s", out)
		assert.Contains(t, out, "the filter does not work")
	}
}

// TestVerifyFailsWithoutFilter claims that verify fails in a process without a
// filter.
func TestVerifyFailsWithoutFilter(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, verify(dscp.AF21, 0), "the filter does not work")
	require.ErrorContains(t, verify(dscp.AF21, unix.EPERM), "the filter does not work")
	require.ErrorContains(t, verify(dscp.DF, 0), "the filter does not work")
	require.NoError(t, frozen())
}

// TestCheck claims that Check and Under work in a program other than pinexec.
func TestCheck(t *testing.T) {
	t.Parallel()
	needFilters(t)
	require.NoError(t, Check(t.Context()))
	p := probe(t, "hidden")
	cmd := exec.Command(p[0], p[1:]...)
	require.NoError(t, Under(dscp.AF21, cmd))
	assert.Equal(t, "0x48\n", output(t, cmd))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Check(ended), context.Canceled)
}

// probeGodscp dials with a mark through package dscp.
func probeGodscp(args []string) {
	cp, err := dscp.Parse(args[0])
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
	var refused *dscp.MarkError
	if errors.As(err, &refused) {
		fmt.Println("MarkError", refused.CodePoint, refused.Err)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.(*dscp.Conn).DSCP(), c.(*dscp.Conn).Verify())
}

// TestDialerUnderPinexec claims that a program which uses package dscp works with the same
// mark, and with another gets an error that names the mark of its sockets.
func TestDialerUnderPinexec(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "AF21 <nil>\n", output(t, pinned(t, []string{"AF21"}, probe(t, "godscp", "AF21")...)))
	got := output(t, pinned(t, []string{"AF21"}, probe(t, "godscp", "EF")...))
	assert.Contains(t, got, "MarkError EF ")
	assert.Contains(t, got, "AF21")
}

// TestVerbose claims that -v prints a line for each socket of the program, and none
// for those of pinexec.
func TestVerbose(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "log")
	p := probe(t, "sockets")
	output(t, pinned(t, []string{"-v=" + file, "AF21"}, p...))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Regexp(t, `^pinexec: [^ ]+\[\d+\]: tcp4 socket \d+ is marked AF21\n`, string(text))
	assert.Contains(t, string(text), ": udp6 socket ")
	assert.Contains(t, string(text), ": tcp4 socket refused: protocol not supported\n")
	assert.Equal(t, len(kinds), strings.Count(string(text), "is marked AF21\n"), "%s", text)

	cmd := pinned(t, []string{"-v", "AF21"}, p...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Run())
	assert.Equal(t, len(kinds), strings.Count(stderr.String(), "is marked AF21\n"), "%s", &stderr)
}

// TestStartupTime claims that pinexec adds little to the time that a program takes to
// start. It tests time itself.
func TestStartupTime(t *testing.T) {
	needFilters(t)
	pinexec := sshtest.Program(t, "pinexec")
	least := func(args ...string) time.Duration {
		best := time.Hour
		for range 20 {
			begin := time.Now()
			require.NoError(t, exec.Command(args[0], args[1:]...).Run())
			best = min(best, time.Since(begin))
		}
		return best
	}
	// Compare the least times, which other load on the machine affects least.
	bare, under, df := least("/bin/true"), least(pinexec, "AF21", "/bin/true"), least(pinexec, "DF", "/bin/true")
	help := least(pinexec, "-h") // the time to start a Go program
	t.Logf("bare %v, AF21 %v, DF %v, pinexec -h %v", bare, under, df, help)
	assert.LessOrEqual(t, under-bare, max(10*time.Millisecond, 4*help))
}
