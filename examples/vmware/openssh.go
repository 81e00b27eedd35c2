package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/openssh"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

// An openSSH is the ssh command of this machine, and its sshd.
type openSSH struct {
	path    string
	version string // as -V prints it
	ipqos   string // its default, as -G prints it
	missing string // why it cannot be used; empty if it can
	dir     string // directory of identityFile and knownHostsFile
}

const (
	identityFile   = "identity"
	knownHostsFile = "known_hosts"
	hostAlias      = "guest" // the server's name in knownHostsFile, for every port
	controlFile    = "control"
)

// findOpenSSH looks for ssh and makes a directory with the files for its login. Close
// removes the directory.
func findOpenSSH(ctx context.Context, keys *keyring) *openSSH {
	o := new(openSSH)
	if err := o.find(ctx); err != nil {
		o.missing = err.Error()
	} else if err := o.prepare(keys); err != nil {
		o.missing = err.Error()
	}
	return o
}

func (o *openSSH) find(ctx context.Context) error {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask := exec.CommandContext(ctx, path, "-V")
	ask.WaitDelay = time.Second
	said, err := ask.CombinedOutput()
	if err != nil {
		// For a user without an entry in the password database, ssh fails even with -V.
		return fmt.Errorf("%s (%w)", oneLine(said), err)
	}
	version := versionPattern.FindSubmatch(said)
	if version == nil {
		return fmt.Errorf("not OpenSSH: %s", oneLine(said))
	}
	o.path, o.version = path, string(version[1])
	o.ipqos, err = openssh.Ask(ctx, path, "-F", "none", "-G", hostAlias)
	return err
}

// prepare makes the directory and writes the files.
func (o *openSSH) prepare(keys *keyring) error {
	block, err := ssh.MarshalPrivateKey(keys.client, "")
	if err != nil {
		return err
	}
	known := append([]byte(hostAlias+" "), ssh.MarshalAuthorizedKey(keys.host.PublicKey())...)
	if o.dir, err = os.MkdirTemp("", "godscp-vmware-"); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(o.dir, identityFile), pem.EncodeToMemory(block), 0o600),
		os.WriteFile(filepath.Join(o.dir, knownHostsFile), known, 0o600),
	)
}

// Close removes the directory.
func (o *openSSH) Close() error {
	if o.dir == "" {
		return nil
	}
	return os.RemoveAll(o.dir)
}

var versionPattern = regexp.MustCompile(`OpenSSH_(?:for_Windows_)?(\d+\.\d+)`)

// strategies are the ssh command with its default, with the default of 7.8 to 10.0,
// with the octets of lowdelay and throughput, which is the cure in the reports (since
// 10.1 the words have no effect, but the numbers do), and with none. In the last one a
// command joins the connection of a terminal through ControlMaster: if ssh marks by its
// open channels, the box then breaks the terminal's session.
//
// All are observed: the version does not determine the marks, nor when ssh sets them,
// since distributions patch both.
func (o *openSSH) strategies() []strategy {
	var list []strategy
	for _, s := range []session{
		{tty: true},
		{},
		{ipqos: "af21 cs1", tty: true},
		{ipqos: "af21 cs1"},
		{ipqos: "16 8", tty: true},
		{ipqos: "16 8"},
		{ipqos: "none", tty: true},
		{ipqos: "none"},
	} {
		s.ssh = o
		list = append(list, strategy{name: s.String(), skip: o.missing, run: s.run, observed: true, expect: works})
	}
	master := session{ssh: o, tty: true}
	return append(list, strategy{
		name: o.name() + " ControlMaster, an exec joins a tty", skip: o.missing, run: master.joined, observed: true, expect: works,
	})
}

func (o *openSSH) name() string {
	if o.version == "" {
		return "ssh"
	}
	return "ssh " + o.version
}

// A session is one run of the ssh command.
type session struct {
	ssh     *openSSH
	ipqos   string // empty: ssh's own
	tty     bool
	pinned  bool     // under pinexec
	options []string // further arguments of -o
}

func (s session) String() string {
	name := s.ssh.name()
	if s.ipqos != "" {
		name += fmt.Sprintf(" -o IPQoS=%q", s.ipqos)
	}
	if s.tty {
		return name + " (tty)"
	}
	return name + " (exec)"
}

// command returns the ssh command of the session. s.options come first, since the first
// value of an option counts.
func (s session) command(ctx context.Context, p place, flags ...string) (*exec.Cmd, error) {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return nil, err
	}
	tty := "-T"
	if s.tty {
		tty = "-tt"
	}
	args := append(flags, tty, "-F", "none", "-p", port, "-l", p.user, "-i", identityFile)
	options := slices.Clone(s.options)
	if s.ipqos != "" {
		options = append(options, "IPQoS="+s.ipqos)
	}
	for _, o := range append(options,
		"BatchMode=yes",
		"ControlPath=none",
		"GlobalKnownHostsFile=none",
		"HostKeyAlias="+hostAlias,
		"IdentitiesOnly=yes",
		"IdentityAgent=none",
		"PreferredAuthentications=publickey",
		"StrictHostKeyChecking=yes",
		"UserKnownHostsFile="+knownHostsFile,
	) {
		args = append(args, "-o", o)
	}
	cmd := exec.CommandContext(ctx, s.ssh.path, append(args, host)...)
	// Names relative to the directory need no quoting, whatever TMPDIR is.
	cmd.Dir = s.ssh.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	return cmd, nil
}

func (s session) run(ctx context.Context, p place) result {
	cmd, err := s.command(ctx, p)
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	cmd.Args = append(cmd.Args, p.command)
	if s.pinned {
		if err := pinexec.Under(dscp.AF21, cmd); err != nil {
			return result{outcome: skipped, said: err.Error()}
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	before := p.logins()
	err = cmd.Run()
	return s.judge(ctx, err, oneLine(stderr.Bytes()), stdout.Bytes(), flood, p.logins() > before)
}

// judge returns the result of a session, from ssh's error, its message said and its
// output got.
func (s session) judge(ctx context.Context, err error, said string, got, want []byte, loggedIn bool) result {
	switch {
	case ctx.Err() != nil:
		return result{outcome: broken, said: fmt.Sprintf("%s (given up: %v)", said, ctx.Err())}
	case err != nil && !loggedIn:
		// Not a result of the marks: for example, a local policy forbids this kind of key.
		return result{outcome: skipped, said: fmt.Sprintf("never logged in: %s (%v)", said, err)}
	case err != nil:
		return result{outcome: broken, said: fmt.Sprintf("%s (%v)", said, err)}
	case !bytes.Equal(got, want):
		return result{outcome: broken, said: fmt.Sprintf("exit status 0, but %d bytes of %d", len(got), len(want))}
	}
	done := fmt.Sprintf("exit status 0, %d bytes", len(got))
	if said != "" {
		done += "; " + said
	}
	return result{outcome: works, said: done}
}

// joined runs a session with a terminal, and during it a command over the same
// connection. The outcome is that of the terminal's session.
func (s session) joined(ctx context.Context, p place) result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	terminal, err := s.command(ctx, p, "-M", "-S", controlFile)
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	typed, err := terminal.StdinPipe()
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	shown, err := terminal.StdoutPipe()
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	var stderr bytes.Buffer
	terminal.Stderr = &stderr
	before := p.logins()
	if err := terminal.Start(); err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	// types runs the command in the terminal's shell and reads its output.
	var got []byte
	types := func() bool {
		out := make([]byte, len(flood))
		_, err := io.WriteString(typed, p.command+"\n")
		if err == nil {
			n, rerr := io.ReadFull(shown, out)
			got, err = append(got, out[:n]...), rerr
		}
		return err == nil
	}
	alone := types()
	var command string
	if alone {
		copying := session{ssh: s.ssh, ipqos: s.ipqos}
		// With this ProxyCommand the command fails if it cannot join.
		copying.options = []string{"ProxyCommand=false", "ControlPath=" + controlFile}
		if cmd, err := copying.command(ctx, p); err == nil {
			cmd.Args = append(cmd.Args, p.command)
			out, err := cmd.Output()
			command = fmt.Sprintf("; the exec: %d bytes", len(out))
			if err != nil {
				command += fmt.Sprintf(" (%v)", err)
			}
		}
		types()
	}
	_, _ = io.WriteString(typed, "exit\n") // fails if ssh has ended
	typed.Close()
	err = terminal.Wait()
	r := s.judge(ctx, err, oneLine(stderr.Bytes()), got, slices.Concat(flood, flood), p.logins() > before)
	r.said += command
	return r
}

// oneLine joins the lines of a program's output.
func oneLine(said []byte) string {
	lines := strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
