package main

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestSSH claims that ssh works through the program, and checks the marks of all
// packets that the client side sends.
func TestSSH(t *testing.T) {
	sshtest.Built(t, "proxycommand")
	if !testns.Inside(t) {
		return
	}
	ssh, program := sshtest.Tool(t, "ssh"), sshtest.Program(t, "proxycommand")
	key := sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		listen  string
		command string
		options []string
		marks   []dscp.CodePoint // in order; ssh sets the second one
		warning string
	}{
		"relay": {
			command: "", options: []string{"IPQoS=af21 cs1"},
			marks: []dscp.CodePoint{dscp.AF21},
		},
		"relay, IPv6": {
			listen: "[::1]", command: "-class bulk",
			marks: []dscp.CodePoint{dscp.CS1},
		},
		"fdpass": {
			command: "-fdpass -class bulk", options: []string{"ProxyUseFdpass=yes", "IPQoS=none"},
			marks: []dscp.CodePoint{dscp.CS1},
		},
		"fdpass, IPv6": {
			listen: "[::1]", command: "-fdpass", options: []string{"ProxyUseFdpass=yes", "IPQoS=none"},
			marks: []dscp.CodePoint{dscp.AF21},
		},
		"fdpass, NAT-safe": {
			command: "-fdpass -nat-safe", options: []string{"ProxyUseFdpass=yes", "IPQoS=none"},
			marks: []dscp.CodePoint{dscp.LowDelay},
		},
		"fdpass with an ssh that marks again": {
			command: "-fdpass", options: []string{"ProxyUseFdpass=yes", "IPQoS=af21 cs1"},
			marks:   []dscp.CodePoint{dscp.AF21, dscp.CS1}, // since 10.1, AF21 follows again
			warning: `is marked AF21, and ssh will change its mark, since its IPQoS is "af21 cs1"; set "IPQoS none"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var config []string
			if tt.listen != "" {
				config = append(config, "ListenAddress "+tt.listen)
			}
			sshd := sshtest.StartSSHD(t, key, config...)
			server := netip.MustParseAddrPort(sshd.Addr)
			capture := wire.Start(t, "lo", server.Port())

			options := append([]string{"ProxyCommand=" + program + " " + tt.command + " -- '%h' %p"}, tt.options...)
			args := append(sshd.Args(t, key, sshd.Addr, options...), server.Addr().String(), "cat; echo done >&2; exit 7")
			cmd := exec.Command(ssh, args...)
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(sent), &stdout, &stderr
			err := cmd.Run()

			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", stderr.String())
			assert.Equal(t, 7, exit.ExitCode(), "%s", stderr.String())
			assert.True(t, bytes.Equal(sent, stdout.Bytes()), "%d of %d", stdout.Len(), len(sent))
			assert.Contains(t, stderr.String(), "done\n")
			if tt.warning == "" {
				assert.NotContains(t, stderr.String(), "warning")
			} else {
				assert.Contains(t, stderr.String(), tt.warning)
			}

			packets := capture.Until(wire.Closed(1))
			var marks []dscp.CodePoint
			for _, p := range packets {
				if cp := dscp.CodePoint(p.DSCP()); p.Dst == server && !p.Ownerless() && (len(marks) == 0 || marks[len(marks)-1] != cp) {
					marks = append(marks, cp)
				}
			}
			if tt.warning != "" {
				marks = marks[:min(len(marks), len(tt.marks))]
			}
			assert.Equal(t, tt.marks, marks, "%s", wire.Text(packets))
		})
	}
}

func TestFdpassWithoutProxyUseFdpass(t *testing.T) {
	ssh, program := sshtest.Tool(t, "ssh"), sshtest.Program(t, "proxycommand")
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	args := sshd.Args(t, key, sshd.Addr, "ProxyCommand="+program+" -fdpass -- '%h' %p")
	out, err := exec.Command(ssh, append(args, "127.0.0.1", "true")...).CombinedOutput()
	assert.Error(t, err)
	assert.Contains(t, string(out), `ssh needs "ProxyUseFdpass yes" too`)
}

// TestPrintedConfig claims that ssh reads the printed configuration as intended, at
// a terminal and under git, scp and sftp, for users of various shells.
func TestPrintedConfig(t *testing.T) {
	ssh, program := sshtest.Tool(t, "ssh"), sshtest.Program(t, "proxycommand")
	printed, err := exec.Command(program, "-print-config", "-ipqos", "af31 af11", "-nat-safe").Output()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "config")
	own := "Host own\n    ProxyCommand mine\n    ProxyUseFdpass no\n"
	require.NoError(t, os.WriteFile(file, append([]byte(own), printed...), 0o600))

	effective := func(shell string, stdin *os.File, host string) string {
		cmd := exec.Command(ssh, "-F", file, "-T", "-G", host) // without -T, ssh prints that there is no terminal
		cmd.Env = append(os.Environ(), "SHELL="+shell)
		cmd.Stdin = stdin
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", stderr.String())
		assert.Empty(t, stderr.String(), "ssh prints no errors")
		return string(out)
	}
	ours := "proxycommand " + program + ` -fdpass -nat-safe -ipqos "af31 af11" -class `
	ptmx, terminal, err := pty.Open()
	require.NoError(t, err)
	defer ptmx.Close()
	defer terminal.Close()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	shells := 0
	for _, name := range []string{"sh", "dash", "bash", "zsh", "ksh", "mksh", "tcsh", "csh", "fish"} {
		shell, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		shells++
		t.Run(name, func(t *testing.T) {
			for _, as := range []struct {
				name, class string
				stdin       *os.File
			}{
				{"at a terminal", "interactive", terminal},
				{"by git", "bulk", r},
				{"by scp and sftp", "bulk", socketPair(t, unix.SOCK_STREAM)[0]},
				{"by cron", "bulk", null},
			} {
				t.Run(as.name, func(t *testing.T) {
					got := effective(shell, as.stdin, "somewhere")
					assert.Contains(t, got, ours+as.class+" -- '%h' %p\n")
					assert.Contains(t, got, "proxyusefdpass yes\n")
					assert.Contains(t, got, "ipqos none none\n")
				})
			}
		})
	}
	assert.NotZero(t, shells)
	own = effective("/bin/sh", terminal, "own")
	assert.Contains(t, own, "proxycommand mine\n")
	assert.Contains(t, own, "proxyusefdpass no\n")
	assert.NotContains(t, own, "-fdpass")
}

// TestPrintedConfigElsewhere claims that the lines for other systems tell a terminal
// from other standard inputs. It replaces the systems' commands by scripts that
// print output in the format of their manual pages.
func TestPrintedConfigElsewhere(t *testing.T) {
	ssh := sshtest.Tool(t, "ssh")
	dir := t.TempDir()
	tool := func(name, output string) {
		script := "#!/bin/sh\necho complaint >&2\ncat <<.\n" + output + ".\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	const head = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W\na  ssh  7  text /  9 -r-xr-xr-x  9  r\na  ssh  7  wd /home  4 drwxr-xr-x  5  r\n"
	const tail = "a  ssh  7  1 /dev  87 crw--w----  pts/0 rw\na  ssh  7  2 /dev  87 crw--w----  ttyp0 rw\n"
	for _, tt := range []struct {
		os, name, output string
		terminal         bool
	}{
		{"freebsd", "fstat", head + "a  ssh  7  0 /dev  87 crw--w----  pts/0 rw\n" + tail, true},
		{"freebsd", "fstat", head + "a  ssh  7  0* pipe fffff80003 <-> fffff80004 0 rw\n" + tail, false},
		{"freebsd", "fstat", head + "a  ssh  7  0* local stream fffff80003 <-> fffff80004\n" + tail, false},
		{"openbsd", "fstat", head + "a  ssh  7  0 /  26000  crw--w----  rw  ttyp0\n" + tail, true},
		{"openbsd", "fstat", head + "a  ssh  7  0 /  26000  crw-rw-rw-  rw  null\n" + tail, false},
		{"netbsd", "fstat", "", false},
		{"darwin", "lsof", "p7\nf0\nn/dev/ttys003\n", true},
		{"darwin", "lsof", "p7\nf0\nn/dev/null\n", false},
		{"darwin", "lsof", "p7\nf0\nn->0xdecafbad\n", false},
	} {
		tool(tt.name, tt.output)
		file := filepath.Join(dir, "config")
		require.NoError(t, os.WriteFile(file, []byte("Match exec \""+atTerminal(tt.os)+"\"\n    Port 4711\n"), 0o600))
		var stderr bytes.Buffer
		cmd := exec.Command(ssh, "-F", file, "-T", "-G", "host")
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", stderr.String())
		assert.Empty(t, stderr.String())
		assert.Equal(t, tt.terminal, bytes.Contains(out, []byte("port 4711\n")), "%s: %s", tt.os, tt.output)
	}
}
