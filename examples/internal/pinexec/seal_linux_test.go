//go:build amd64 || arm64

package pinexec

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/seccomp"
)

func init() {
	probes["guard"] = probeGuard
	probes["seal"] = probeSeal
	probes["seal and run"] = probeSealAndRun
}

// probeSeal seals itself and then does what probeGodscp does.
func probeSeal(args []string) {
	fmt.Println(dscp.Seal())
	probeGodscp(args)
}

// probeSealAndRun seals itself and executes another program.
func probeSealAndRun(args []string) {
	if err := dscp.Seal(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(unix.Exec(args[0], args, os.Environ()))
}

// TestSeal claims that Seal, in a program under pinexec, fails, names the mark of
// its sockets and changes nothing; and that pinexec fails, and says why, in a
// program that has sealed itself.
func TestSeal(t *testing.T) {
	t.Parallel()
	const frozen = "dscp: seal: the socket stays at AF21 (0x48), as it does under pinexec\n"
	assert.Equal(t, frozen+"AF21 <nil>\n", output(t, pinned(t, []string{"AF21"}, probe(t, "seal", "AF21")...)))
	got := output(t, pinned(t, []string{"AF21"}, probe(t, "seal", "EF")...))
	assert.Contains(t, got, frozen+"MarkError EF ")
	got = output(t, pinned(t, []string{"-strict", "AF21"}, probe(t, "seal", "EF")...))
	assert.Contains(t, got, "operation not permitted")
	assert.Contains(t, got, "MarkError EF ")

	p := probe(t, "seal and run", sshtest.Program(t, "pinexec"), "AF21", "echo", "ran")
	cmd := exec.CommandContext(t.Context(), p[0], p[1:]...)
	out, _ := cmd.CombinedOutput()
	assert.Equal(t, Failed, cmd.ProcessState.ExitCode(), "%s", out)
	assert.Contains(t, string(out), "a program that has sealed itself: sockets stay at DF")
}

// probeGuard installs the filter of dscp.Seal and sets a mark with the secret and
// without it.
func probeGuard([]string) {
	const cookie = 0x1234567890abcdef
	p, err := seccomp.Guard(cookie, seccomp.Option{Level: unix.IPPROTO_IP, Name: unix.IP_TOS}, seccomp.Option{Level: unix.IPPROTO_IPV6, Name: unix.IPV6_TCLASS})
	if err == nil {
		err = p.InstallAll()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	octet := uint64(0xb8)
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, unix.IP_TOS, uintptr(unsafe.Pointer(&octet)), seccomp.SecretLength, cookie)
	fmt.Println(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x20), errno, markOf(fd))
}

// TestGuardUnderPinexec claims that a program under the filter of dscp.Seal and under
// pinexec can make sockets, and that they keep pinexec's mark even if the program
// sets another with the secret.
func TestGuardUnderPinexec(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "operation not permitted errno 0 0x48\n", output(t, pinned(t, []string{"AF21"}, probe(t, "guard")...)))
	assert.Equal(t, "operation not permitted operation not permitted 0x48\n", output(t, pinned(t, []string{"-strict", "AF21"}, probe(t, "guard")...)))
	assert.Equal(t, "operation not permitted errno 0 0x00\n", output(t, pinned(t, []string{"DF"}, probe(t, "guard")...)))
}
