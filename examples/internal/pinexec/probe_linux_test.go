//go:build amd64 || arm64

package pinexec

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
)

// patience is how long a program may take before its test fails.
const patience = 60 * time.Second

// pinned returns a command that runs under pinexec with the options and the mark.
func pinned(t *testing.T, options []string, command ...string) *exec.Cmd {
	t.Helper()
	needFilters(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, sshtest.Program(t, "pinexec"), append(options, command...)...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// needFilters skips the test if this system forbids seccomp filters.
func needFilters(t *testing.T) {
	t.Helper()
	out, err := exec.Command(sshtest.Program(t, "pinexec"), "AF21", "true").CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("seccomp")) {
		testns.Lacks(t, "pinexec cannot run here: %s", out)
	}
}

// probe returns the command line of a probe.
func probe(t *testing.T, name string, args ...string) []string {
	t.Helper()
	require.Contains(t, probes, name)
	self, err := os.Executable()
	require.NoError(t, err)
	return append([]string{self, probeWord, name}, args...)
}

// output runs the command and returns what it printed.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	require.NoError(t, err, "%s", &out)
	return out.String()
}

// lines joins the lines that a probe should print.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// markOf returns the TOS of a socket; for IPv6, the traffic class and the TOS.
func markOf(fd int) string {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err.Error()
	}
	tos, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS)
	if err != nil {
		return err.Error()
	}
	if domain != unix.AF_INET6 {
		return fmt.Sprintf("0x%02x", tos)
	}
	tclass, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("0x%02x 0x%02x", tclass, tos)
}

func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}
