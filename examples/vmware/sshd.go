package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

// An openSSHD is the sshd of this machine. The user who runs this program can log in
// with the keyring's key.
type openSSHD struct {
	user  string
	addr  string
	dir   string // directory of its configuration
	cmd   *exec.Cmd
	ended chan struct{} // closed when all its processes have ended

	mu     sync.Mutex
	log    []string // until it listens
	logins int
}

// servers are the sshd of this machine in the guest, with its default and with the
// cure. If sshd marks a connection right after accept, the box resets it before login,
// and ssh outside reports kex_exchange_identification.
func (o *openSSH) servers() []strategy {
	var list []strategy
	for _, s := range []struct{ name, config string }{
		{"sshd in the guest", ""},
		{"sshd in the guest, IPQoS none", "IPQoS none"},
	} {
		list = append(list, strategy{
			name: s.name, skip: o.missing, observed: true, expect: works,
			serve: func(ctx context.Context, l *lab) (server, error) { return startSSHD(ctx, l, s.config, false) },
			run:   session{ssh: o, ipqos: "none"}.run, // outside: the row has sshd's marks
		})
	}
	return list
}

// shellFlood is a shell command that prints flood.
var shellFlood = fmt.Sprintf("yes '%s' | head -c %d", strings.TrimSuffix(verse, "\n"), len(flood))

// startSSHD starts sshd on the loopback address of the lab. The error is a *skipError if
// this user cannot run an sshd on this machine.
func startSSHD(ctx context.Context, l *lab, config string, pinned bool) (s *openSSHD, err error) {
	cannot := func(err error) error { return &skipError{"sshd cannot be used here: " + err.Error()} }
	path, err := exec.LookPath("sshd")
	if err != nil {
		path = "/usr/sbin/sshd" // this directory may not be in PATH
		if _, stat := os.Stat(path); stat != nil {
			return nil, cannot(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		return nil, cannot(err)
	}
	s = &openSSHD{user: me.Username}
	if s.dir, err = os.MkdirTemp("", "godscp-vmware-"); err != nil {
		return nil, cannot(err)
	}
	file, err := s.prepare(l, config)
	if err != nil {
		os.RemoveAll(s.dir)
		return nil, cannot(err)
	}
	for range 5 { // another process may take the free port first
		var free net.Listener
		if free, err = l.listen(ctx, plainListener); err != nil {
			break
		}
		s.addr = free.Addr().String()
		if err = free.Close(); err != nil {
			break
		}
		if err = s.start(ctx, path, file, pinned); err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	os.RemoveAll(s.dir)
	return nil, cannot(err)
}

// prepare writes sshd's files and returns the name of its configuration.
func (s *openSSHD) prepare(l *lab, config string) (string, error) {
	name := func(base string) string { return filepath.Join(s.dir, base) }
	block, err := ssh.MarshalPrivateKey(l.keys.hostKey, "")
	if err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(l.keys.client.Public())
	if err != nil {
		return "", err
	}
	lines := []string{
		config,
		"HostKey " + quoted(name("host_key")),
		"AuthorizedKeysFile " + quoted(name("authorized_keys")),
		"PidFile none",
		"StrictModes no", // other users may be able to write to a parent of the directory
		"UsePAM no",
		"UseDNS no",
		"PrintMotd no",
		"PrintLastLog no",
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"LogLevel INFO",
	}
	return name("sshd_config"), errors.Join(
		os.WriteFile(name("host_key"), pem.EncodeToMemory(block), 0o600),
		os.WriteFile(name("authorized_keys"), ssh.MarshalAuthorizedKey(key), 0o600),
		os.WriteFile(name("sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600),
	)
}

func quoted(name string) string { return `"` + name + `"` }

// start starts sshd and returns when it listens.
func (s *openSSHD) start(ctx context.Context, path, config string, pinned bool) error {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	s.cmd = exec.Command(path, "-D", "-e", "-f", config, "-p", port, "-o", "ListenAddress="+host)
	if pinned {
		if err := pinexec.Under(dscp.AF21, s.cmd); err != nil {
			return err
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.cmd.Stderr = w
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	listening := make(chan bool, 1)
	s.ended = make(chan struct{})
	go s.read(r, listening)
	select {
	case ok := <-listening:
		if ok {
			return nil
		}
		err = errors.New("sshd ended before it listened")
	case <-time.After(patience):
		err = fmt.Errorf("sshd does not listen after %v", patience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w: %s", err, strings.Join(s.log, "; "))
}

// read reads the log of sshd and its sessions until all of them have ended.
func (s *openSSHD) read(r *os.File, listening chan<- bool) {
	defer close(s.ended)
	defer r.Close()
	defer close(listening)
	told := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		s.mu.Lock()
		if strings.HasPrefix(line, "Accepted publickey") {
			s.logins++
		}
		if !told {
			s.log = append(s.log, line)
		}
		s.mu.Unlock()
		if !told && strings.HasPrefix(line, "Server listening on") {
			told = true
			listening <- true
		}
	}
}

// Addr returns the address on which sshd listens.
func (s *openSSHD) Addr() string { return s.addr }

// Logins returns the number of clients that have logged in so far.
func (s *openSSHD) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Close ends sshd, waits for its sessions and removes its files.
func (s *openSSHD) Close() error {
	s.stop()
	return os.RemoveAll(s.dir)
}

func (s *openSSHD) stop() {
	_ = s.cmd.Process.Signal(terminate)
	_ = s.cmd.Wait()
	select {
	case <-s.ended:
	case <-time.After(patience): // do not wait longer for a session that outlives its client
	}
}
