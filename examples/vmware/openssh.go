package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// An openSSH is the ssh command of this machine.
type openSSH struct {
	path         string
	major, minor int
	missing      string // why it cannot be used; empty if it can
	dir          string // holds the key and the known host, by the names below
}

const (
	identityFile   = "identity"
	knownHostsFile = "known_hosts"
	hostAlias      = "guest" // the server's name in knownHostsFile, whatever its port
)

// findOpenSSH looks for ssh and prepares a directory with what it needs to log
// in. Close removes it.
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
	version := exec.CommandContext(ctx, path, "-V")
	version.WaitDelay = time.Second
	said, err := version.CombinedOutput()
	if err != nil {
		// To a user without an entry in the password database ssh does not
		// even tell its version.
		return fmt.Errorf("%s (%w)", oneLine(said), err)
	}
	major, minor, ok := parseVersion(string(said))
	if !ok {
		return fmt.Errorf("not OpenSSH: %s", oneLine(said))
	}
	o.path, o.major, o.minor = path, major, minor
	return nil
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

var versionPattern = regexp.MustCompile(`OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)`)

func parseVersion(s string) (major, minor int, ok bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, false
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return major, minor, err1 == nil && err2 == nil
}

func (o *openSSH) atLeast(major, minor int) bool {
	return o.major > major || o.major == major && o.minor >= minor
}

// strategies are the marks that were the default from 7.8 on, and the octets
// of lowdelay and throughput, the cure of the reports: the names changed their
// meaning in 10.1 and the numbers did not.
func (o *openSSH) strategies() []strategy {
	name := "ssh"
	if o.path != "" {
		name = fmt.Sprintf("ssh %d.%d", o.major, o.minor)
	}
	var list []strategy
	for _, s := range []session{
		{ipqos: "af21 cs1", tty: true},
		{ipqos: "af21 cs1"},
		{ipqos: "16 8", tty: true},
		{ipqos: "16 8"},
	} {
		s.ssh = o
		kind := "exec"
		if s.tty {
			kind = "tty"
		}
		list = append(list, strategy{
			name:   fmt.Sprintf("%s -o IPQoS=%q (%s)", name, s.ipqos, kind),
			expect: s.expect(), skip: o.missing, run: s.run,
		})
	}
	return list
}

// A session is one run of the ssh command.
type session struct {
	ssh     *openSSH
	ipqos   string
	tty     bool
	options []string // more of what may follow -o
}

// expect derives from the sources of OpenSSH what a session comes to behind
// VMware's NAT.
//
//   - Up to 8.4 the client marks once, after login: the SYN was unmarked, so
//     AF21 and CS1 are both a change of precedence.
//   - From 8.5 on it has the interactive mark on the SYN already. With a
//     terminal nothing changes any more; without, AF21 becomes CS1 after login.
//   - From 10.1 on it marks again whenever a channel without a terminal comes
//     or goes. For the first session that is the same, but the test for a
//     terminal was repaired in 10.2 and 10.4: of the versions between, nothing
//     is expected.
//
// 16 and 8 have precedence zero, at whatever moment they come.
func (s session) expect() outcome {
	switch {
	case s.ipqos == "16 8":
		return works
	case s.ssh.atLeast(10, 1) && !s.ssh.atLeast(10, 4):
		return anything
	case s.tty && s.ssh.atLeast(8, 5):
		return works
	}
	return broken
}

func (s session) run(ctx context.Context, p place) result {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	tty := "-T"
	if s.tty {
		tty = "-tt"
	}
	args := []string{
		tty, "-F", "none", "-p", port, "-l", p.keys.user, "-i", identityFile,
		"-o", "IPQoS=" + s.ipqos,
		"-o", "BatchMode=yes",
		"-o", "ControlPath=none",
		"-o", "GlobalKnownHostsFile=none",
		"-o", "HostKeyAlias=" + hostAlias,
		"-o", "IdentitiesOnly=yes",
		"-o", "IdentityAgent=none",
		"-o", "PreferredAuthentications=publickey",
		"-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + knownHostsFile,
	}
	for _, o := range s.options {
		args = append(args, "-o", o)
	}
	cmd := exec.CommandContext(ctx, s.ssh.path, append(args, host, floodCommand)...)
	// Names relative to the directory need no quoting, whatever TMPDIR is.
	cmd.Dir = s.ssh.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	before := p.logins()
	err = cmd.Run()
	said := oneLine(stderr.Bytes())
	switch {
	case ctx.Err() != nil:
		return result{outcome: broken, said: fmt.Sprintf("%s (given up: %v)", said, ctx.Err())}
	case err != nil && p.logins() == before:
		// It got nowhere near a session, so its marks tell nothing: a local
		// policy against our kind of key, perhaps.
		return result{outcome: skipped, said: fmt.Sprintf("never logged in: %s (%v)", said, err)}
	case err != nil:
		return result{outcome: broken, said: fmt.Sprintf("%s (%v)", said, err)}
	case !bytes.Equal(stdout.Bytes(), flood):
		return result{outcome: broken, said: fmt.Sprintf("exit status 0, but %d bytes of %d", stdout.Len(), len(flood))}
	}
	done := fmt.Sprintf("exit status 0, %d bytes", stdout.Len())
	if said != "" {
		done += "; " + said
	}
	return result{outcome: works, said: done}
}

// oneLine puts the lines that a program printed into one.
func oneLine(said []byte) string {
	lines := strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
