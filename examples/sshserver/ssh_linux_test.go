package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

const patience = 20 * time.Second

// TestMarks checks the marks of all packets that the server sends to ssh.
func TestMarks(t *testing.T) {
	sshtest.Built(t, "sshserver")
	if !testns.Inside(t) {
		return
	}
	ssh := sshtest.Tool(t, "ssh")
	key := sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		options []string
		client  string
		theirs  dscp.CodePoint // if this ssh marks its SYN
		ours    dscp.CodePoint
	}{
		"default":      {client: "ef", theirs: dscp.EF, ours: dscp.AF21},
		"bulk":         {options: []string{"-class", "bulk"}, client: "ef", theirs: dscp.EF, ours: dscp.CS1},
		"one class":    {options: []string{"-reflect", "none"}, client: "cs1", theirs: dscp.CS1, ours: dscp.AF21},
		"NAT-safe":     {options: []string{"-nat-safe"}, client: "none", theirs: dscp.DF, ours: dscp.LowDelay},
		"IPv6":         {options: []string{"-listen", "[::1]:0", "-ipqos", "af41"}, client: "cs1", theirs: dscp.CS1, ours: dscp.AF41},
		"both at once": {options: []string{"-listen", ":0"}, client: "ef", theirs: dscp.EF, ours: dscp.AF21},
	} {
		t.Run(name, func(t *testing.T) {
			server := sshtest.StartGoServer(t, key, tt.options...)
			addr := netip.MustParseAddrPort(server.Addr)
			if addr.Addr().IsUnspecified() {
				addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addr.Port())
			}
			capture := wire.Start(t, "lo", addr.Port())
			args := server.Args(t, key, addr.String(), "IPQoS="+tt.client)
			out, err := exec.Command(ssh, append(args, addr.Addr().String(), "head -c 100000 /dev/zero")...).Output()
			require.NoError(t, err)
			assert.Len(t, out, 100000)
			packets := capture.Until(wire.Closed(1))
			sent := 0
			for _, p := range packets {
				if p.Src == addr && !p.Ownerless() {
					sent++
					assert.Equal(t, tt.ours, dscp.CodePoint(p.DSCP()), "%v", p)
				}
			}
			assert.Greater(t, sent, 3)
			// OpenSSH up to 8.4 marks only after login. The log has the mark of the SYN.
			theirs := dscp.CodePoint(packets[0].DSCP())
			assert.Contains(t, []dscp.CodePoint{tt.theirs, dscp.DF}, theirs)
			log := fmt.Sprintf("theirs=%v ours=%v", theirs, tt.ours)
			assert.Eventually(t, func() bool { return strings.Contains(server.Log(), log) }, patience, 10*time.Millisecond, "%s", log)
		})
	}
}

func TestCommands(t *testing.T) {
	ssh := sshtest.Tool(t, "ssh")
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	for name, tt := range map[string]struct {
		command, stdin, stdout, stderr string
		status                         int
	}{
		"outputs apart":      {command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		"input":              {command: "tr a-z A-Z", stdin: "upper", stdout: "UPPER"},
		"status":             {command: "exit 42", status: 42},
		"killed":             {command: "kill -9 $$", status: 255},
		"not found":          {command: "/no/such/command", status: 127, stderr: "not found"},
		"environment":        {command: "echo $LOGNAME $SHELL ${SSH_CONNECTION% *}", stdout: "/bin/sh 127.0.0.1 "},
		"no terminal":        {command: "tty", stdout: "not a tty", status: 1},
		"unread input":       {command: "true", stdin: strings.Repeat("x", 1<<20)},
		"a lot of output":    {command: "head -c 3000000 /dev/zero | tr '\\0' y; echo end", stdout: "yyyend\n"},
		"left in background": {command: "sleep 600 >/dev/null 2>&1 & echo started", stdout: "started\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(ssh, append(server.Args(t, key, server.Addr), "127.0.0.1", tt.command)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			err := cmd.Run()
			if tt.status == 0 {
				assert.NoError(t, err)
			}
			assert.Equal(t, tt.status, cmd.ProcessState.ExitCode(), "%s", stderr.String())
			assert.Contains(t, stdout.String(), tt.stdout)
			assert.Contains(t, stderr.String(), tt.stderr)
		})
	}
}

func TestRefused(t *testing.T) {
	ssh := sshtest.Tool(t, "ssh")
	key, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	for name, tt := range map[string]struct {
		key     *sshtest.Key
		options []string
		rest    []string
		says    string
	}{
		"another key": {key: other, rest: []string{"127.0.0.1", "true"}, says: "Permission denied (publickey)"},
		"forwarding":  {key: key, options: []string{"ExitOnForwardFailure=yes"}, rest: []string{"-W", "127.0.0.1:1", "127.0.0.1"}, says: "unknown channel type"},
		"remote forwarding": {
			key: key, options: []string{"ExitOnForwardFailure=yes"}, rest: []string{"-N", "-R", "0:127.0.0.1:1", "127.0.0.1"}, says: "remote port forwarding failed",
		},
		"password": {
			key: other, options: []string{"PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive"},
			rest: []string{"127.0.0.1", "true"}, says: "Permission denied (publickey)",
		},
		"subsystem": {key: key, rest: []string{"-s", "127.0.0.1", "netconf"}, says: "subsystem request failed"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(server.Args(t, tt.key, server.Addr, tt.options...), tt.rest...)
			out, err := exec.Command(ssh, args...).CombinedOutput()
			assert.Error(t, err)
			assert.Contains(t, string(out), tt.says)
		})
	}
}

// TestServerLimitsStartups claims that the server closes connections above the limit of those
// that have not logged in, and that a client that has logged in does not count.
func TestServerLimitsStartups(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", server.Addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	greeted := func(c net.Conn) bool {
		b := make([]byte, 4)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "SSH-"
	}
	config := &ssh.ClientConfig{
		User: "user", Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)},
		HostKeyCallback: ssh.FixedHostKey(server.HostKey),
	}
	in, channels, requests, err := ssh.NewClientConn(dial(), server.Addr, config)
	require.NoError(t, err)
	client := ssh.NewClient(in, channels, requests)
	defer client.Close()
	first, err := client.NewSession() // when the server answers this, the client no longer counts
	require.NoError(t, err)
	require.NoError(t, first.Close())

	var silent []net.Conn
	for range mostStartups {
		silent = append(silent, dial())
		require.True(t, greeted(silent[len(silent)-1]))
	}
	assert.False(t, greeted(dial()), "one too many")
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("echo in")
	assert.NoError(t, err)
	assert.Equal(t, "in\n", string(out))

	silent[0].Close()
	assert.Eventually(t, func() bool { return greeted(dial()) }, patience, 10*time.Millisecond)
}

func TestTransfers(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	dir := t.TempDir()
	sent := filepath.Join(dir, "sent")
	data := make([]byte, 16<<20)
	rand.Read(data)
	require.NoError(t, os.WriteFile(sent, data, 0o600))
	for name, args := range map[string][]string{
		"put": {"sftp", "-b", "-", "127.0.0.1"},
		"scp": {"scp", sent, "127.0.0.1:" + filepath.Join(dir, "scp")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(sshtest.Tool(t, args[0]), append(server.Args(t, key, server.Addr), args[1:]...)...)
			cmd.Stdin = strings.NewReader("put " + sent + " " + filepath.Join(dir, "put") + "\nget " + filepath.Join(dir, "put") + " " + filepath.Join(dir, "got") + "\n")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			for _, file := range map[string][]string{"put": {"put", "got"}, "scp": {"scp"}}[name] {
				received, err := os.ReadFile(filepath.Join(dir, file))
				require.NoError(t, err)
				assert.Equal(t, sha256.Sum256(data), sha256.Sum256(received), file)
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	args := append(server.Args(t, key, server.Addr), "-tt", "127.0.0.1")
	p := sshtest.StartTerminal(t, exec.Command(sshtest.Tool(t, "ssh"), args...))
	p.Type("PS1=; stty -echo; echo ready\n")
	p.Expect("ready\r\n")
	p.Type("stty size; echo $TERM-$SSH_TTY\n")
	p.Expect("24 80")
	p.Expect("-/dev/pts/")

	p.Resize(50, 132)
	p.Type("while [ \"$(stty size)\" != '50 132' ]; do sleep 0.01; done; echo resized\n")
	p.Expect("resized")

	// A shell runs its trap between commands: the loop has short ones.
	p.Type("sh -c 'trap \"echo interrupted; exit\" INT; echo set; while :; do sleep 0.01; done'\n")
	p.Expect("set")
	p.Type("\x03")
	p.Expect("interrupted")
	p.Type("exit 5\n")
	assert.Equal(t, 5, p.Wait())
}

// gone waits until all the processes have ended.
func gone(t *testing.T, pids []int) {
	t.Helper()
	require.NotEmpty(t, pids)
	assert.Eventually(t, func() bool {
		for _, pid := range pids {
			if sshtest.Alive(pid) {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond, "%v", pids)
}

// TestLeaderIsReapedLast claims that a command that ends before its group keeps its process
// id as long as the server may kill the group.
func TestLeaderIsReapedLast(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	const command = "(trap '' HUP; while :; do sleep 600; done) & echo $$ $!"
	cmd := exec.Command(sshtest.Tool(t, "ssh"), append(server.Args(t, key, server.Addr), "127.0.0.1", command)...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var leader, rest int
	_, err = fmt.Fscan(stdout, &leader, &rest)
	require.NoError(t, err)
	defer syscall.Kill(rest, syscall.SIGKILL)
	require.Eventually(t, func() bool { return !sshtest.Alive(leader) }, patience, 10*time.Millisecond)
	// Watch for a while that the id does not become free.
	assert.Never(t, func() bool { return syscall.Kill(leader, 0) != nil }, 100*time.Millisecond, 5*time.Millisecond, "the server has reaped the command")
	assert.True(t, sshtest.Alive(rest))
	cmd.Process.Kill()
	gone(t, []int{rest})
	assert.Eventually(t, func() bool { return syscall.Kill(leader, 0) == syscall.ESRCH }, patience, 10*time.Millisecond, "the server does not reap the command")
}

func TestNothingSurvivesItsSession(t *testing.T) {
	key := sshtest.NewKey(t, "")
	const stubborn = "trap '' HUP; echo up; while :; do sleep 600; done"
	for name, end := range map[string]func(*testing.T, *sshtest.GoServer, *exec.Cmd){
		"the client is killed": func(_ *testing.T, _ *sshtest.GoServer, client *exec.Cmd) { client.Process.Kill() },
		"the server gets SIGTERM": func(t *testing.T, server *sshtest.GoServer, _ *exec.Cmd) {
			server.Signal(syscall.SIGTERM)
			assert.Zero(t, server.Wait(t))
		},
	} {
		for _, terminal := range []string{"-T", "-tt"} {
			t.Run(name+terminal, func(t *testing.T) {
				server := sshtest.StartGoServer(t, key)
				cmd := exec.Command(sshtest.Tool(t, "ssh"), append(server.Args(t, key, server.Addr), terminal, "127.0.0.1", stubborn)...)
				stdin, err := cmd.StdinPipe()
				require.NoError(t, err)
				defer stdin.Close()
				stdout, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				defer cmd.Wait()
				_, err = stdout.Read(make([]byte, 8)) // it is up
				require.NoError(t, err)
				processes := sshtest.Descendants(server.PID())
				end(t, server, cmd)
				gone(t, processes)
			})
		}
	}
}
