package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sshdCommand returns a command that runs sshd as the user of this process, and the
// login name that sshd accepts.
//
// Real root runs sshd directly. For another user, sshd would accept only that user,
// who may have no shell (as nobody has none) or be root only in the user namespace
// of testns.Inside, where sshd's separation of privileges cannot work. So sshd runs
// in a user namespace as one ordinary user, with another passwd file.
func sshdCommand(tb testing.TB, dir, sshd string, args ...string) (*exec.Cmd, string) {
	tb.Helper()
	if realRoot(tb) {
		// Debian's start script makes it; without it sshd refuses to start.
		require.NoError(tb, os.MkdirAll("/run/sshd", 0o755))
		u, err := user.Current()
		require.NoError(tb, err)
		return exec.Command(sshd, args...), u.Username
	}

	// The overflow id: the group that terminal devices seem to have in a namespace
	// that does not map their real group. sshd requires a group.
	const id = 65534
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	require.NoError(tb, os.WriteFile(passwd, fmt.Appendf(nil, "tester:x:%d:%d::%s:/bin/sh\n", id, id, dir), 0o644))
	require.NoError(tb, os.WriteFile(group, fmt.Appendf(nil, "tester:x:%d:\n", id), 0o644))
	script := `mount --bind "$0" /etc/passwd && mount --bind "$1" /etc/group && shift && exec "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, passwd, group, sshd}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}, // for mount
	}
	return cmd, "tester"
}

// realRoot reports whether this process is root in the initial user namespace.
func realRoot(tb testing.TB) bool {
	tb.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(tb, err)
	f := strings.Fields(string(ids))
	return os.Geteuid() == 0 && len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}
