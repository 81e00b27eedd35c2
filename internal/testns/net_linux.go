package testns

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A Net is a network namespace for a test that runs [Inside] one. It lasts until that
// test ends.
type Net struct {
	tb   testing.TB
	file *os.File
}

// Current returns the namespace that the test runs in.
func Current(tb testing.TB) *Net {
	tb.Helper()
	// Each thread of a process may be in another namespace.
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		tb.Fatalf("opening the test's namespace: %v", err)
	}
	tb.Cleanup(func() { f.Close() })
	return &Net{tb: tb, file: f}
}

// New makes a namespace in which only the loopback interface is up.
func New(tb testing.TB) *Net {
	tb.Helper()
	var n *Net
	Current(tb).Do(func() { // Do returns the thread to its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			denied(tb, "unshare(CLONE_NEWNET)", err)
		}
		if err := up("lo"); err != nil {
			denied(tb, "bringing lo up in the namespace", err)
		}
		n = Current(tb)
	})
	return n
}

// Do runs f on a thread that is in n. Sockets that f makes and programs that it starts
// stay in n. Goroutines that f starts do not run in n, so f must dial addresses and not
// names. f may end the test.
func (n *Net) Do(f func()) {
	n.tb.Helper()
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		n.tb.Fatalf("opening the thread's namespace: %v", err)
	}
	defer func() {
		err := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET)
		before.Close()
		if err != nil {
			// The goroutine stays locked, so the runtime ends the thread with it,
			// and nothing else runs in the wrong namespace.
			n.tb.Fatalf("leaving the namespace: %v", err)
		}
		runtime.UnlockOSThread()
	}()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		denied(n.tb, "setns", err)
	}
	f()
}

// Run runs a command in n, fails the test if the command fails, and returns
// what it printed.
func (n *Net) Run(name string, args ...string) string {
	n.tb.Helper()
	return n.run(exec.Command(name, args...))
}

// Input is Run for a command that reads input.
func (n *Net) Input(input, name string, args ...string) string {
	n.tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	return n.run(cmd)
}

// commands is held while a command runs. Of several nft at once all but one read the
// rules again and again.
var commands sync.Mutex

func (n *Net) run(cmd *exec.Cmd) string {
	n.tb.Helper()
	Require(n.tb, cmd.Args[0])
	var out []byte
	n.Do(func() {
		commands.Lock()
		var err error
		out, err = cmd.CombinedOutput()
		commands.Unlock()
		if err == nil {
			return
		}
		if bytes.Contains(out, []byte("Operation not permitted")) { // Linux 7.3 forbids nft in a namespace of an unprivileged user to write headers
			Lacks(n.tb, "%s: %s", strings.Join(cmd.Args, " "), bytes.TrimSpace(out))
		}
		n.tb.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	})
	return string(out)
}

// Sysctl sets a network parameter of n, say "net.ipv4.tcp_reflect_tos".
func (n *Net) Sysctl(key, value string) {
	n.tb.Helper()
	path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
	n.Do(func() { // the file has the parameters of the thread's namespace
		err := os.WriteFile(path, []byte(value), 0)
		switch {
		case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EROFS),
			errors.Is(err, os.ErrNotExist): // older kernels lack some, or show them only in the first namespace
			Lacks(n.tb, "setting %s: %v", key, err)
		case err != nil:
			n.tb.Fatalf("setting %s: %v", key, err)
		}
	})
}

// An End is one end of a cable: the name of its interface in Net, and the
// addresses that it gets.
type End struct {
	Net       *Net
	Name      string
	Addresses []netip.Prefix
}

// Connect connects two namespaces with a cable (a veth pair) and brings both ends up.
func Connect(a, b End) {
	a.Net.tb.Helper()
	cmd := exec.Command("ip", "link", "add", "name", a.Name, "type", "veth",
		"peer", "name", b.Name, "netns", "/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{b.Net.file}
	a.Net.run(cmd)
	for _, e := range []End{a, b} {
		for _, p := range e.Addresses {
			args := []string{"address", "add", p.String(), "dev", e.Name}
			if p.Addr().Is6() {
				args = append(args, "nodad") // usable at once: no other host can have it
			}
			e.Net.Run("ip", args...)
		}
		e.Net.Run("ip", "link", "set", e.Name, "up")
	}
	// If the other end of an interface came up later, the kernel takes up to a
	// second before it forwards packets, unless a program asks for the state.
	for _, e := range []End{a, b} {
		e.Net.Run("ip", "link", "show", "dev", e.Name)
	}
}

// Require ends a test that needs a program which is not installed.
func Require(tb testing.TB, program string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		Lacks(tb, "%s is not installed: %v", program, err)
	}
}
