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

// An openSSHD is the sshd of this machine. It lets in the user who runs this
// program, by the keyring's key.
type openSSHD struct {
	user  string
	addr  string
	dir   string // with its configuration
	cmd   *exec.Cmd
	ended chan struct{} // closed when nothing of it is left to write to the log

	mu     sync.Mutex
	log    []string // up to when it listens
	logins int
}

// servers are the sshd of this machine in the guest, as it is and with what cures it.
// Where sshd marks a connection as soon as it has accepted it, ssh outside does not
// come as far as a login: it says kex_exchange_identification.
func (o *openSSH) servers() []strategy {
	var list []strategy
	for _, s := range []struct{ name, config string }{
		{"sshd in the guest", ""},
		{"sshd in the guest, IPQoS none", "IPQoS none"},
	} {
		list = append(list, strategy{
			name: s.name, skip: o.missing, observed: true, expect: works,
			serve: func(ctx context.Context, l *lab) (server, error) { return startSSHD(ctx, l, s.config, false) },
			run:   session{ssh: o, ipqos: "none"}.run, // not the one whose marks are looked at
		})
	}
	return list
}

// shellFlood makes a real shell send flood.
var shellFlood = fmt.Sprintf("yes '%s' | head -c %d", strings.TrimSuffix(verse, "\n"), len(flood))

// startSSHD starts sshd on the loopback address of the lab. Its error is a
// *skipError where this machine has none that this user can run.
func startSSHD(ctx context.Context, l *lab, config string, pinned bool) (s *openSSHD, err error) {
	cannot := func(err error) error { return &skipError{"sshd cannot be used here: " + err.Error()} }
	path, err := exec.LookPath("sshd")
	if err != nil {
		path = "/usr/sbin/sshd" // not in everybody's PATH
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
	for range 5 { // a port that was free may be taken a moment later
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

// prepare writes what sshd reads and returns the name of its configuration.
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
		"StrictModes no", // the directory may lie below one that all can write to
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

// start returns when sshd listens.
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
		err = errors.New("it does not start")
	case <-time.After(patience):
		err = errors.New("it does not listen")
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w: %s", err, strings.Join(s.log, "; "))
}

// read reads what sshd and its sessions log, as long as there are any of them.
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

// Addr is the address that it listens on.
func (s *openSSHD) Addr() string { return s.addr }

// Logins tells how many clients have authenticated so far.
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
	case <-time.After(patience): // a session that outlives the client is not ours to wait for
	}
}
