package main

import (
	"bytes"
	"crypto/rand"
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
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// client returns the command that runs the program against the server.
func client(t *testing.T, sshd *sshtest.SSHD, key *sshtest.Key, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(t, err)
	all := []string{"-F", "none", "-p", port, "-l", sshd.User, "-i", key.File,
		"-o", "UserKnownHostsFile=" + sshtest.KnownHosts(t, sshd.HostKey, sshd.Addr)}
	for _, arg := range args {
		if arg == "HOST" {
			arg = host
		}
		all = append(all, arg)
	}
	cmd := exec.Command(sshtest.Program(t, "sshclient"), all...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "SSH_AUTH_SOCK=")
	return cmd
}

// TestMarks checks the marks of all packets that the client sends to sshd.
func TestMarks(t *testing.T) {
	sshtest.Built(t, "sshclient")
	if !testns.Inside(t) {
		return
	}
	key := sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		listen   string
		args     []string
		terminal bool
		mark     dscp.CodePoint
	}{
		"a command":            {args: []string{"HOST", "cat >/dev/null; head -c 300000 /dev/zero"}, mark: dscp.CS1},
		"a shell":              {args: []string{"HOST"}, terminal: true, mark: dscp.AF21},
		"a shell without one":  {args: []string{"HOST"}, mark: dscp.CS1},
		"a command with one":   {args: []string{"-t", "HOST", "cat"}, terminal: true, mark: dscp.AF21},
		"NAT-safe shell":       {args: []string{"-nat-safe", "HOST"}, terminal: true, mark: dscp.LowDelay},
		"NAT-safe command":     {args: []string{"-nat-safe", "HOST", "cat"}, mark: dscp.Throughput},
		"another mark":         {args: []string{"-o", "IPQoS=ef af11", "HOST", "cat"}, mark: dscp.AF11},
		"none":                 {args: []string{"-o", "IPQoS=none", "HOST", "cat"}, mark: dscp.DF},
		"sealed shell":         {args: []string{"-seal", "HOST"}, terminal: true, mark: dscp.AF21},
		"IPv6, sealed command": {listen: "[::1]", args: []string{"-seal", "HOST", "cat"}, mark: dscp.CS1},
		"IPv6, and a shell":    {listen: "[::1]", args: []string{"HOST"}, terminal: true, mark: dscp.AF21},
		"IPv6, and a transfer": {listen: "[::1]", args: []string{"-s", "HOST", "sftp"}, mark: dscp.CS1},
	} {
		t.Run(name, func(t *testing.T) {
			var config []string
			if tt.listen != "" {
				config = append(config, "ListenAddress "+tt.listen)
			}
			sshd := sshtest.StartSSHD(t, key, config...)
			server := netip.MustParseAddrPort(sshd.Addr)
			capture := wire.Start(t, "lo", server.Port())
			cmd := client(t, sshd, key, tt.args...)
			if tt.terminal {
				p := sshtest.StartTerminal(t, cmd)
				if slices.Contains(tt.args, "cat") {
					p.Type("echo\n")
					p.Expect("echo\r\necho\r\n") // the terminal's, then cat's
					p.Type("\x04")
				} else {
					p.Type("echo $((6*7))\n")
					p.Expect("42\r\n")
					p.Type("exit\n")
				}
				p.Wait()
			} else {
				cmd.Stdin = io.LimitReader(zeros{}, 300000)
				if err := cmd.Run(); err != nil { // the zeros are no sftp packets
					require.Contains(t, tt.args, "sftp", "%v", err)
				}
			}
			packets := capture.Until(wire.Closed(1))
			sent := 0
			for _, p := range packets {
				if p.Dst == server && !p.Ownerless() {
					sent++
					assert.Equal(t, tt.mark, dscp.CodePoint(p.DSCP()), "%v", p)
				}
			}
			assert.Greater(t, sent, 10)
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestCommands(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	for name, tt := range map[string]struct {
		command                        []string
		stdin, stdout, stderr, refused string
		status                         int
	}{
		"outputs apart":        {command: []string{"echo out; echo err >&2"}, stdout: "out\n", stderr: "err\n"},
		"words":                {command: []string{"echo", "a", "b"}, stdout: "a b\n"},
		"input":                {command: []string{"tr a-z A-Z"}, stdin: "upper", stdout: "UPPER"},
		"status":               {command: []string{"exit 42"}, status: 42},
		"killed":               {command: []string{"kill -9 $$"}, status: 255, stderr: "KILL"},
		"unread input":         {command: []string{"true"}, stdin: strings.Repeat("x", 8<<20)}, // more than fits into the channel
		"unread input, status": {command: []string{"exit 7"}, stdin: strings.Repeat("x", 8<<20), status: 7},
		"a shell":              {stdin: "echo from a shell; exit 3\n", stdout: "from a shell\n", status: 3},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := client(t, sshd, key, append([]string{"HOST"}, tt.command...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			cmd.Run()
			assert.Equal(t, tt.status, cmd.ProcessState.ExitCode(), "%s", stderr.String())
			assert.Equal(t, tt.stdout, stdout.String())
			assert.Contains(t, stderr.String(), tt.stderr)
		})
	}
}

func TestSftp(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	dir := t.TempDir()
	data := make([]byte, 8<<20)
	rand.Read(data)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), data, 0o600))
	transport := client(t, sshd, key, "-s", "HOST", "sftp")
	line := strings.Join(transport.Args, " ")
	put := func(transportLine string) ([]byte, error) {
		sftp := exec.Command(sshtest.Tool(t, "sftp"), "-b", "-", "-D", transportLine)
		sftp.Env = transport.Env
		sftp.Stdin = strings.NewReader("put " + dir + "/a " + dir + "/b\nget " + dir + "/b " + dir + "/c\n")
		return sftp.CombinedOutput()
	}
	out, err := put(line)
	if strings.Contains(string(out), "exec: "+line) { // before 9.1, -D takes a command without arguments
		script := filepath.Join(dir, "transport")
		require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexec "+line+"\n"), 0o700))
		out, err = put(script)
	}
	require.NoError(t, err, "%s", out)
	got, err := os.ReadFile(filepath.Join(dir, "c"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(data, got))
}

// TestSeal claims that -seal installs a filter: the ProxyCommand, which inherits it,
// prints its seccomp mode.
func TestSeal(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	for _, args := range [][]string{{}, {"-seal"}} {
		cmd := client(t, sshd, key, append(args, "-o", "ProxyCommand=grep Seccomp: /proc/self/status >&2", "HOST", "true")...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		require.Error(t, cmd.Run(), "the ProxyCommand does not relay")
		if len(args) == 0 {
			if !strings.Contains(stderr.String(), "Seccomp:\t0") {
				t.Skipf("this process is under a filter already: %s", &stderr)
			}
			continue
		}
		if strings.Contains(stderr.String(), "seccomp: ") {
			testns.Lacks(t, "no seal here: %s", &stderr)
		}
		assert.Contains(t, stderr.String(), "Seccomp:\t2")
	}
}

func TestRefusals(t *testing.T) {
	key, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	none := sshtest.KnownHosts(t, sshd.HostKey)
	wrong := sshtest.KnownHosts(t, other.Signer.PublicKey(), sshd.Addr)
	for name, tt := range map[string]struct {
		key     *sshtest.Key
		options []string
		says    []string
	}{
		"wrong key":    {key: other, says: []string{"unable to authenticate"}},
		"unknown host": {key: key, options: []string{"-o", "UserKnownHostsFile=" + none}, says: []string{"host key verification failed", "is not known", "SHA256:"}},
		"another key than the known": {key: key, options: []string{"-o", "UserKnownHostsFile=" + wrong}, says: []string{
			"REMOTE HOST IDENTIFICATION HAS CHANGED", "Offending ED25519 key in " + wrong + ":1", "host key verification failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(tt.options, "HOST", "echo", "in")
			cmd := client(t, sshd, tt.key, args...)
			// The options of the test come first, so they win.
			cmd.Args = append(append([]string{cmd.Args[0]}, tt.options...), cmd.Args[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			assert.Error(t, cmd.Run())
			assert.Equal(t, statusError, cmd.ProcessState.ExitCode())
			assert.Empty(t, stdout.String())
			for _, says := range append(tt.says, sshd.Addr) {
				assert.Contains(t, stderr.String(), says)
			}
		})
	}
}

func TestUnknownHostIsAskedAbout(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	file := filepath.Join(t.TempDir(), "new", "known_hosts")
	connect := func() *sshtest.Terminal {
		cmd := client(t, sshd, key, "HOST", "echo in")
		cmd.Args = append([]string{cmd.Args[0], "-o", "UserKnownHostsFile=" + file}, cmd.Args[1:]...)
		return sshtest.StartTerminal(t, cmd)
	}
	p := connect()
	p.Expect("can't be established")
	p.Expect("(yes/no/[fingerprint])? ")
	p.Type("no\n")
	p.Expect("host key verification failed")
	assert.Equal(t, statusError, p.Wait())
	assert.NoFileExists(t, file)

	p = connect()
	p.Expect("(yes/no/[fingerprint])? ")
	p.Type("maybe\n")
	p.Expect("Please type")
	p.Type("yes\n")
	p.Expect("Permanently added")
	p.Expect("in\r\n")
	assert.Zero(t, p.Wait())

	p = connect()
	p.Expect("in\r\n")
	assert.Zero(t, p.Wait())
	assert.NotContains(t, p.Unread(), "authenticity")
}

// TestKnownHostsWithoutNewline claims that the client adds a host on a new line to a
// file that does not end with a newline.
func TestKnownHostsWithoutNewline(t *testing.T) {
	key, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	file := sshtest.KnownHosts(t, other.Signer.PublicKey(), "192.0.2.1:22")
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.TrimSuffix(before, []byte("\n")), 0o600))
	connect := func() *sshtest.Terminal {
		cmd := client(t, sshd, key, "HOST", "echo in")
		cmd.Args = append([]string{cmd.Args[0], "-o", "UserKnownHostsFile=" + file}, cmd.Args[1:]...)
		return sshtest.StartTerminal(t, cmd)
	}
	p := connect()
	p.Expect("(yes/no/[fingerprint])? ")
	p.Type("yes\n")
	p.Expect("in\r\n")
	assert.Zero(t, p.Wait())

	p = connect()
	p.Expect("in\r\n")
	assert.Zero(t, p.Wait())
	assert.NotContains(t, p.Output(), "authenticity")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(before)+knownhosts.Line([]string{sshd.Addr}, sshd.HostKey)+"\n", string(after))
}

func TestPassphrase(t *testing.T) {
	key := sshtest.NewKey(t, "open sesame")
	sshd := sshtest.StartSSHD(t, key)
	p := sshtest.StartTerminal(t, client(t, sshd, key, "HOST", "echo in"))
	p.Expect("Enter passphrase for key '" + key.File + "': ")
	p.Type("wrong\n")
	p.Expect("Enter passphrase for key '" + key.File + "': ")
	p.Type("open sesame\n")
	p.Expect("in\r\n")
	assert.NotContains(t, p.Unread(), "sesame")
	assert.Zero(t, p.Wait())
}

func TestAgent(t *testing.T) {
	key, other := sshtest.NewKey(t, "secret"), sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	ring := agent.NewKeyring()
	private, err := os.ReadFile(key.File)
	require.NoError(t, err)
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: sshtest.Decrypt(t, private, "secret")}))
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			agent.ServeAgent(ring, c)
			c.Close()
		}
	}()
	public := &sshtest.Key{File: filepath.Join(t.TempDir(), "key.pub")}
	require.NoError(t, os.WriteFile(public.File, []byte(key.Line), 0o644))
	cmd := client(t, sshd, public, "HOST", "echo in")
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	stdout, stderr, _ := alone(t, before(cmd, "-o", "IdentitiesOnly=yes"))
	assert.Equal(t, "in\n", stdout, "-i names a public key, and the agent has the private one: %s", stderr)
	cmd = client(t, sshd, other, "HOST", "echo in")
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	_, stderr, status := alone(t, before(cmd, "-o", "IdentitiesOnly=yes"))
	assert.Equal(t, statusError, status, "IdentitiesOnly excludes the agent's other keys: %s", stderr)
	_, stderr, status = alone(t, client(t, sshd, public, "HOST", "echo in"))
	assert.Equal(t, statusError, status)
	assert.Contains(t, stderr, "this is a public key, and no agent has its private key")
	for _, identity := range []*sshtest.Key{key, other} { // in the agent and in an encrypted file, or only in the agent
		cmd := client(t, sshd, identity, "HOST", "echo in")
		cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err)
		assert.Equal(t, "in\n", string(out))
	}
}

// TestInterruptedAtTheAgent claims that SIGTERM ends the program while it waits for an
// agent that does not answer.
func TestInterruptedAtTheAgent(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	for name, knows := range map[string]bool{"listing": false, "signing": true} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "agent")
			l, err := net.Listen("unix", socket)
			require.NoError(t, err)
			defer l.Close()
			ring := muteKeyring{Agent: agent.NewKeyring(), asked: make(chan struct{}), answer: make(chan struct{})}
			defer close(ring.answer)
			private, err := os.ReadFile(key.File)
			require.NoError(t, err)
			parsed, err := ssh.ParseRawPrivateKey(private)
			require.NoError(t, err)
			require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: parsed}))
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if knows {
					agent.ServeAgent(ring, c)
					return
				}
				c.Read(make([]byte, 1))
				ring.asked <- struct{}{}
				<-ring.answer
			}()

			cmd := client(t, sshd, key, "HOST", "echo in")
			cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				cmd.Wait()
			}()
			defer func() {
				cmd.Process.Kill()
				<-ended
			}()
			select {
			case <-ring.asked:
			case <-ended:
				t.Fatalf("the program ended without a request to the agent: %s", stderr.String())
			}
			cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-ended:
				assert.Equal(t, statusError, cmd.ProcessState.ExitCode())
				assert.Contains(t, stderr.String(), "terminated signal received")
			case <-time.After(20 * time.Second):
				t.Fatal("the program does not end while it waits for the agent")
			}
		})
	}
}

// A muteKeyring lists its keys, and signs when answer is closed.
type muteKeyring struct {
	agent.Agent
	asked, answer chan struct{}
}

func (m muteKeyring) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	m.asked <- struct{}{}
	<-m.answer
	return m.Agent.Sign(key, data)
}

// TestSecondSignalKills claims that a second signal ends the program while it blocks in
// a call without a context: it opens a known_hosts that is a FIFO without a writer.
func TestSecondSignalKills(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	pipe := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	cmd := client(t, sshd, key, "-v", "HOST", "echo in")
	cmd.Args = append([]string{cmd.Args[0], "-o", "UserKnownHostsFile=" + pipe}, cmd.Args[1:]...)
	p := sshtest.StartTerminal(t, cmd)
	p.Expect("connected to")
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(10 * time.Millisecond); ; {
		select {
		case <-tick:
			cmd.Process.Signal(syscall.SIGTERM)
			continue
		case <-p.Ended():
			assert.Equal(t, -1, p.Wait())
		case <-deadline:
			t.Fatal("SIGTERM does not end the program")
		}
		return
	}
}

// stty runs the program under a shell that prints the state of the terminal before and
// after.
func stty(t *testing.T, cmd *exec.Cmd) *sshtest.Terminal {
	t.Helper()
	script := `stty -g; trap : INT; "$@"; echo status=$?; stty -g; echo over`
	shell := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, cmd.Args...)...)
	shell.Env = cmd.Env
	return sshtest.StartTerminal(t, shell)
}

// restored checks the exit status, and that the terminal has the same state as before.
func restored(t *testing.T, p *sshtest.Terminal, before, status string) {
	t.Helper()
	p.Expect("status=" + status + "\r\n")
	assert.Equal(t, before, p.Line())
	p.Expect("over")
}

func TestTerminal(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	p := stty(t, client(t, sshd, key, "HOST"))
	before := p.Line()
	p.Type("PS1=; stty -echo; echo re''ady\n")
	p.Expect("ready\r\n")
	p.Type("stty size\n")
	p.Expect("24 80")
	p.Resize(50, 132)
	p.Type("while [ \"$(stty size)\" != '50 132' ]; do sleep 0.01; done; echo resized\n")
	p.Expect("resized")
	p.Type("sh -c 'trap \"echo interrupted; exit\" INT; echo set; while :; do sleep 0.01; done'\n")
	p.Expect("set")
	p.Type("\x03") // goes to the server
	p.Expect("interrupted")
	p.Type("exit 5\n")
	p.Expect("Connection to 127.0.0.1 closed.")
	restored(t, p, before, "5")
}

func TestInterrupted(t *testing.T) {
	key := sshtest.NewKey(t, "secret")
	sshd := sshtest.StartSSHD(t, key)
	t.Run("at a prompt", func(t *testing.T) {
		p := stty(t, client(t, sshd, key, "HOST"))
		before := p.Line()
		p.Expect("Enter passphrase")
		p.Type("\x03")
		p.Expect("interrupt signal received")
		restored(t, p, before, "255")
	})
	t.Run("during a command", func(t *testing.T) {
		plain := sshtest.NewKey(t, "")
		sshd := sshtest.StartSSHD(t, plain)
		p := stty(t, client(t, sshd, plain, "HOST", "echo up; sleep 600"))
		before := p.Line()
		p.Expect("up")
		p.Type("\x03")
		p.Expect("interrupt signal received")
		restored(t, p, before, "255")
	})
	t.Run("by SIGTERM in a shell", func(t *testing.T) {
		plain := sshtest.NewKey(t, "")
		sshd := sshtest.StartSSHD(t, plain)
		cmd := client(t, sshd, plain, "HOST")
		p := stty(t, cmd)
		before := p.Line()
		p.Type("PS1=; stty -echo; echo re''ady\n")
		p.Expect("ready\r\n")
		for _, pid := range p.Processes() {
			syscall.Kill(pid, syscall.SIGTERM)
		}
		p.Expect("terminated signal received")
		restored(t, p, before, "255")
	})
}

func TestServerGone(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	p := stty(t, client(t, sshd, key, "HOST"))
	before := p.Line()
	p.Type("PS1=; stty -echo; echo re''ady\n")
	p.Expect("ready\r\n")
	sshd.KillSessions()
	p.Expect("connection to 127.0.0.1")
	restored(t, p, before, "255")
}
