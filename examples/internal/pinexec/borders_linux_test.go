//go:build amd64 || arm64

package pinexec

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
)

func init() {
	probes["border"] = probeBorder
	probes["hidden"] = probeHidden
}

// probeBorder makes a socket, tries to mark it, and to connect to an address.
func probeBorder(args []string) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	before := markOf(fd)
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x20)
	addr, errAddr := net.ResolveTCPAddr("tcp", args[0])
	if errAddr != nil {
		panic(errAddr)
	}
	reached := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte(addr.IP.To4()), Port: addr.Port}) == nil
	fmt.Println(before, err, markOf(fd), reached)
}

// probeHidden forbids others to trace it, and makes a socket.
func probeHidden([]string) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Println(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(markOf(fd))
}

// TestNamespaces claims that the sockets of a program which leaves pinexec's
// network namespace belong to its new namespace and stay unmarked, since the
// supervisor cannot make sockets there. Other namespaces make no difference.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() }) // after the subtests
	const inside, outside = "0x48 <nil> 0x48 true\n", "0x00 <nil> 0x00 false\n"
	for name, tt := range map[string]struct {
		command []string
		want    string
	}{
		"bare":                       {nil, inside},
		"network and user":           {[]string{"unshare", "-Urn"}, outside},
		"user":                       {[]string{"unshare", "-Ur"}, inside},
		"processes":                  {[]string{"unshare", "-Urpf", "--mount-proc"}, inside},
		"bwrap":                      {[]string{"bwrap", "--dev-bind", "/", "/"}, inside},
		"bwrap without network":      {[]string{"bwrap", "--dev-bind", "/", "/", "--unshare-net"}, outside},
		"bwrap with nothing shared":  {[]string{"bwrap", "--dev-bind", "/", "/", "--unshare-all", "--proc", "/proc"}, outside},
		"bwrap with network alone":   {[]string{"bwrap", "--dev-bind", "/", "/", "--unshare-all", "--share-net", "--proc", "/proc"}, inside},
		"processes without own proc": {[]string{"unshare", "-Urpf"}, inside},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.command != nil {
				sshtest.Tool(t, tt.command[0])
				if out, err := exec.Command(tt.command[0], append(tt.command[1:], "true")...).CombinedOutput(); err != nil {
					testns.Lacks(t, "these namespaces cannot be made here: %v\n%s", err, out)
				}
			}
			command := slices.Concat(tt.command, probe(t, "border", l.Addr().String()))
			assert.Equal(t, tt.want, output(t, pinned(t, []string{"AF21"}, command...)))
		})
	}
}

// TestHiddenProcesses claims that the supervisor serves a program which may not be
// traced, but refuses its sockets if /proc hides its network namespace.
func TestHiddenProcesses(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "0x48\n", output(t, pinned(t, []string{"AF21"}, probe(t, "hidden")...)))
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a /proc that hides processes")
	}
	pinexec := sshtest.Program(t, "pinexec")
	readable(t, pinexec)
	readable(t, probe(t, "hidden")[0])
	hide := []string{"unshare", "-m", "sh", "-c", `mount -t proc -o hidepid=invisible proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, "sh"}
	if out, err := exec.Command(hide[0], append(hide[1:], "true")...).CombinedOutput(); err != nil {
		testns.Lacks(t, "a /proc that hides processes cannot be mounted here: %v\n%s", err, out)
	}
	run := func(command ...string) string {
		return output(t, exec.Command(hide[0], slices.Concat(hide[1:], []string{pinexec, "AF21"}, command)...))
	}
	assert.Equal(t, unix.EACCES.Error()+"\n", run(probe(t, "hidden")...))
	assert.Contains(t, run(probe(t, "sockets")...), "close on exec false: 0x48\n")
}

// readable lets every user run a program in a directory for tests.
func readable(t *testing.T, file string) {
	t.Helper()
	require.NoError(t, exec.Command("sh", "-c", `while [ "$1" != / ]; do chmod o+rx "$1" || exit; set -- "$(dirname "$1")"; done`, "sh", file).Run())
}

// TestOtherUser claims that the supervisor serves a program which root runs and
// which becomes another user.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	p := probe(t, "hidden")
	readable(t, p[0])
	command := slices.Concat([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, p)
	assert.Equal(t, "0x48\n", output(t, pinned(t, []string{"AF21"}, command...)))
}

// TestWithoutProc claims that pinexec fails and names /proc if it is missing or
// belongs to another PID namespace.
func TestWithoutProc(t *testing.T) {
	t.Parallel()
	needFilters(t)
	pinexec := sshtest.Program(t, "pinexec")
	for name, unshare := range map[string][]string{
		"none":              {"unshare", "-Urm", "sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "sh"},
		"another namespace": {"unshare", "-Urpf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(unshare[0], append(unshare[1:], "true")...).CombinedOutput(); err != nil {
				testns.Lacks(t, "these namespaces cannot be made here: %v\n%s", err, out)
			}
			cmd := exec.Command(unshare[0], append(unshare[1:], pinexec, "AF21", "echo", "ran")...)
			out, _ := cmd.CombinedOutput()
			assert.Equal(t, Failed, cmd.ProcessState.ExitCode(), "%s", out)
			assert.Contains(t, string(out), "/proc")
			assert.Contains(t, string(out), "proxycommand -print-config")
			assert.NotContains(t, string(out), "ran\n")
		})
	}
}
