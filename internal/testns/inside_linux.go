package testns

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the child reports when its test has ended. The exit status is the same for a
// test that passed, one that was skipped, and a run in which no test matched.
const (
	reportRan     = "ran"
	reportSkipped = "skipped"
)

// reportFD is the descriptor of the report pipe in the child, the first of
// exec.Cmd's ExtraFiles.
const reportFD = 3

// enter prepares the child: it arranges the report and brings lo up.
func enter(t *testing.T) {
	t.Helper()
	report := os.NewFile(reportFD, "report")
	// Registered first, so it runs last.
	t.Cleanup(func() {
		word := reportRan
		if t.Skipped() {
			word = reportSkipped
		}
		if _, err := io.WriteString(report, word); err != nil {
			t.Errorf("reporting to the parent: %v", err)
		}
		if err := report.Close(); err != nil {
			t.Errorf("reporting to the parent: %v", err)
		}
	})
	// Some systems let any user make a user namespace but give no rights in it
	// (AppArmor on Ubuntu). Then this fails.
	if err := up("lo"); err != nil {
		denied(t, "bringing lo up in the namespace", err)
	}
}

// up brings an interface of the calling thread's namespace up.
func up(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("ioctl(SIOCSIFFLAGS)", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req))
}

// denied ends the test with Lacks if err says that the system refused, and fails it
// otherwise.
func denied(tb testing.TB, doing string, err error) {
	tb.Helper()
	// EPERM and EACCES are policy, ENOSPC and EUSERS limits (see
	// user.max_net_namespaces), EINVAL and ENOSYS a kernel without namespaces,
	// ENOTTY one that changes no interface in them (gVisor).
	for _, errno := range []syscall.Errno{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS, unix.ENOTTY} {
		if errors.Is(err, errno) {
			Lacks(tb, "no network namespace here: %s: %v", doing, err)
		}
	}
	tb.Fatalf("%s: %v", doing, err)
}

// reexec runs t in a child process and gives t the outcome of the child.
func reexec(t *testing.T, from func(run func()) error) {
	t.Helper()
	if strings.Contains(t.Name(), "/") {
		t.Fatalf("testns.Inside: %s is a subtest; call it from the top-level test", t.Name())
	}
	ctx, childTimeout := context.Background(), time.Duration(0)
	if deadline, ok := t.Deadline(); ok {
		// The child times out first and prints its goroutines' stacks. If it
		// does not, it is killed while there is still time to show its output.
		left := time.Until(deadline)
		childTimeout = left * 8 / 10
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left*9/10)
		defer cancel()
	}
	var out, report string
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Pdeathsig kills the child when the thread that started it ends. The
		// thread stays locked, so it ends with this goroutine, and so does what
		// from has done to it.
		runtime.LockOSThread()
		failed := from(func() { out, report, err = run(ctx, t.Name(), childTimeout) })
		if failed != nil {
			err = failed
		}
	}()
	<-ended
	if !testing.Verbose() {
		out = brief(out)
	}
	if out != "" {
		t.Logf("in a new namespace:\n%s", out)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("killed in its namespace: the test took too long")
	case errors.As(err, &exit):
		t.Fatalf("failed in its namespace: %v", err)
	case err != nil:
		denied(t, "starting the test in a namespace", err)
	case report == reportSkipped:
		t.Skip("skipped in its namespace; the reason is in the log above")
	case report != reportRan:
		t.Fatalf("the child exited without running the test")
	}
}

// brief returns the output of a verbose test without its progress lines, so that the
// output of a failed test with many subtests begins with what failed.
func brief(out string) string {
	var kept strings.Builder
	var heading string // names the test whose lines follow, if any do
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "=== RUN "), strings.HasPrefix(line, "=== CONT "), strings.HasPrefix(line, "=== NAME "):
			heading = line
		case strings.HasPrefix(line, "=== PAUSE "):
		case strings.HasPrefix(strings.TrimLeft(line, " "), "--- PASS: "):
			heading = ""
		default:
			kept.WriteString(heading)
			kept.WriteString(line)
			heading = ""
		}
	}
	return kept.String()
}

// run executes the test binary for one test in a new network namespace. If this is not
// root, or root may not make one, it does so in a new user namespace.
func run(ctx context.Context, test string, timeout time.Duration) (out, report string, err error) {
	if os.Geteuid() == 0 {
		out, report, err = start(ctx, test, timeout, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		if !errors.Is(err, unix.EPERM) {
			return out, report, err
		}
	}
	return start(ctx, test, timeout, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
}

func start(ctx context.Context, test string, timeout time.Duration, attr *syscall.SysProcAttr) (out, report string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return "", "", err
	}
	defer r.Close()

	attr.Pdeathsig = syscall.SIGKILL
	var buf bytes.Buffer
	cmd := exec.CommandContext(ctx, self,
		"-test.run=^"+regexp.QuoteMeta(test)+"$",
		"-test.v=true", // otherwise the reason of a skip would be lost
		"-test.timeout="+timeout.String(),
		"-test.short="+flag.Lookup("test.short").Value.String(),
	)
	cmd.Env = append(os.Environ(), marker+"="+test,
		"GORACE=atexit_sleep_ms=20 "+os.Getenv("GORACE")) // a race detector's child waits a second before it exits
	cmd.Stdout, cmd.Stderr = &buf, &buf
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = attr
	cmd.WaitDelay = 10 * time.Second // a grandchild may hold the output open
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", "", err
	}
	err = cmd.Wait()
	// A process that the child has left behind may still hold the pipe. The report
	// is in the pipe already.
	_ = r.SetReadDeadline(time.Now().Add(cmd.WaitDelay))
	word, _ := io.ReadAll(r)
	return buf.String(), string(word), err
}
