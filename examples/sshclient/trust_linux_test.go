package main

import (
	"bytes"
	"crypto/rand"
	"net"
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
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// alone runs a client without a terminal.
func alone(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// before puts arguments before those of client: the first value of an option counts.
func before(cmd *exec.Cmd, args ...string) *exec.Cmd {
	cmd.Args = append(append([]string{cmd.Args[0]}, args...), cmd.Args[1:]...)
	return cmd
}

// certify returns a host certificate of the authority for the key and names.
func certify(t *testing.T, authority ssh.Signer, key ssh.PublicKey, names ...string) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.HostCert, KeyId: "host", ValidPrincipals: names, ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	require.NoError(t, cert.SignCert(rand.Reader, authority))
	return cert
}

// TestHostKeyTrust claims which host keys the client accepts, by the content of known_hosts.
func TestHostKeyTrust(t *testing.T) {
	key, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	_, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(t, err)
	hostKey := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshd.HostKey)))
	otherKey := strings.TrimSpace(other.Line)
	name := "[127.0.0.1]:" + port
	for title, tt := range map[string]struct {
		known   string
		options []string
		in      bool
		says    []string
		not     string
	}{
		"by a wildcard":                    {known: "* " + hostKey, in: true},
		"by a wildcard of ports":           {known: "[127.0.0.1]:* " + hostKey, in: true},
		"without its port":                 {known: "127.0.0.1 " + hostKey, in: true},
		"without its port, another":        {known: "127.0.0.1 " + otherKey, says: []string{"is not known"}, not: "CHANGED"},
		"by a hash":                        {known: knownhosts.HashHostname(name) + " " + hostKey, in: true},
		"except by a negation":             {known: "!127.0.0.1,!" + name + ",* " + hostKey, says: []string{"is not known"}},
		"by an alias":                      {known: "cluster " + hostKey, options: []string{"-o", "HostKeyAlias=cluster"}, in: true},
		"by another alias":                 {known: name + " " + hostKey, options: []string{"-o", "HostKeyAlias=cluster"}, says: []string{"cluster is not known"}},
		"revoked":                          {known: "@revoked * " + hostKey + "\n" + name + " " + hostKey, says: []string{"is revoked"}},
		"with another revoked":             {known: "@revoked * " + otherKey + "\n" + name + " " + hostKey, in: true},
		"by an authority for certificates": {known: "@cert-authority * " + otherKey, says: []string{"is not known"}, not: "CHANGED"},
		"beside lines that cannot be read": {
			known: name + " ssh-future AAAACnNzaC1mdXR1cmU=\nnonsense\n@odd * " + hostKey + "\n" + name + " " + hostKey,
			in:    true,
			says:  []string{"line 1 is skipped: a key of type ssh-future", "line 2 is skipped: want hosts", "line 3 is skipped: unknown marker @odd"},
		},
		"beside many lines that cannot be read": {
			known: strings.Repeat("nonsense\n", 9) + name + " " + hostKey, in: true, says: []string{"6 more lines are skipped"}, not: "line 4",
		},
		"by another key of its type": {known: name + " " + otherKey, says: []string{"IDENTIFICATION HAS CHANGED", "Offending ED25519 key in "}},
		"by another key, and not strict": {
			known: name + " " + otherKey, options: []string{"-o", "StrictHostKeyChecking=no"}, in: true,
			says: []string{"IDENTIFICATION HAS CHANGED", "without passwords"},
		},
		"by another key, accept-new": {
			known: name + " " + otherKey, options: []string{"-o", "StrictHostKeyChecking=accept-new"}, says: []string{"IDENTIFICATION HAS CHANGED"},
		},
		"not, strict":     {options: []string{"-o", "StrictHostKeyChecking=yes"}, says: []string{"is not known", "StrictHostKeyChecking is yes"}},
		"not, batch mode": {options: []string{"-o", "BatchMode=yes"}, says: []string{"is not known", "BatchMode"}},
		"not, nor asked":  {says: []string{"is not known", "SHA256:"}},
	} {
		t.Run(title, func(t *testing.T) {
			file := writeFile(t, "known_hosts", tt.known+"\n")
			cmd := before(client(t, sshd, key, "HOST", "echo in"), append(tt.options, "-o", "UserKnownHostsFile="+file)...)
			stdout, stderr, status := alone(t, cmd)
			if tt.in {
				assert.Equal(t, "in\n", stdout, stderr)
				assert.Zero(t, status)
			} else {
				assert.Empty(t, stdout)
				assert.Equal(t, statusError, status)
				assert.Contains(t, stderr, "host key verification failed")
			}
			for _, says := range tt.says {
				assert.Contains(t, stderr, says)
			}
			if tt.not != "" {
				assert.NotContains(t, stderr, tt.not)
			}
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, tt.known+"\n", string(after), "the client adds nothing")
		})
	}
}

// TestNewHostIsRemembered claims that with StrictHostKeyChecking accept-new or no, the
// client adds an unknown host key to known_hosts.
func TestNewHostIsRemembered(t *testing.T) {
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key)
	for _, strict := range []string{"accept-new", "no"} {
		for _, hash := range []string{"no", "yes"} {
			file := filepath.Join(t.TempDir(), "new", "known_hosts")
			connect := func(strict string) string {
				stdout, stderr, _ := alone(t, before(client(t, sshd, key, "HOST", "echo in"),
					"-o", "StrictHostKeyChecking="+strict, "-o", "HashKnownHosts="+hash, "-o", "UserKnownHostsFile="+file))
				assert.Equal(t, "in\n", stdout, stderr)
				return stderr
			}
			assert.Contains(t, connect(strict), "Permanently added '[127.0.0.1]:")
			assert.NotContains(t, connect("yes"), "added")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, hash == "yes", strings.HasPrefix(string(text), "|1|"), "%s", text)
		}
	}
}

// TestHostCertificate claims which host certificates the client accepts from an
// authority in known_hosts.
func TestHostCertificate(t *testing.T) {
	key, authority, hostKey := sshtest.NewKey(t, ""), sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	for title, tt := range map[string]struct {
		principal string
		known     string
		options   []string
		says      string
	}{
		"for the host":            {principal: "127.0.0.1", known: "@cert-authority * " + authority.Line},
		"for a pattern":           {principal: "127.0.*", known: "@cert-authority * " + authority.Line},
		"for another pattern":     {principal: "127.1.*", known: "@cert-authority * " + authority.Line, says: "the certificate of [127.0.0.1]:"},
		"for the alias":           {principal: "cluster", known: "@cert-authority cluster " + authority.Line, options: []string{"-o", "HostKeyAlias=cluster"}},
		"for another host":        {principal: "192.0.2.1", known: "@cert-authority * " + authority.Line, says: "the certificate of [127.0.0.1]:"},
		"of another authority":    {principal: "127.0.0.1", known: "@cert-authority * " + key.Line, says: "is not known"},
		"of an authority revoked": {principal: "127.0.0.1", known: "@cert-authority * " + authority.Line + "@revoked * " + authority.Line, says: "is revoked"},
	} {
		t.Run(title, func(t *testing.T) {
			cert := certify(t, authority.Signer, hostKey.Signer.PublicKey(), tt.principal)
			file := writeFile(t, "cert.pub", string(ssh.MarshalAuthorizedKey(cert)))
			sshd := sshtest.StartSSHD(t, key, "HostKey "+hostKey.File, "HostCertificate "+file)
			known := writeFile(t, "known_hosts", tt.known)
			stdout, stderr, _ := alone(t, before(client(t, sshd, key, "HOST", "echo in"), append(tt.options, "-o", "UserKnownHostsFile="+known)...))
			if tt.says == "" {
				assert.Equal(t, "in\n", stdout, stderr)
				return
			}
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, tt.says)
			assert.NotContains(t, stderr, "CHANGED")
		})
	}
}

// TestCertificateOfUnknownAuthority claims that the client, as ssh, checks the key alone
// if the authority of its certificate is not known.
func TestCertificateOfUnknownAuthority(t *testing.T) {
	authority, hostKey := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	cert := certify(t, authority.Signer, hostKey.Signer.PublicKey(), "elsewhere")
	file := writeFile(t, "known_hosts", "host "+hostKey.Line)
	require.NoError(t, knownIn(t, file, settings{hostName: "host", port: "22"}).check("", nil, cert))
	require.ErrorIs(t, knownIn(t, file, settings{hostName: "other", port: "22", strict: strictYes}).check("", nil, cert), errHostKey)
}

// TestReasonForUnusedKeys claims that the client says why it does not use a key.
func TestReasonForUnusedKeys(t *testing.T) {
	key, encrypted := sshtest.NewKey(t, ""), sshtest.NewKey(t, "secret")
	sshd := sshtest.StartSSHD(t, key)
	locked := sshtest.StartSSHD(t, encrypted)

	t.Run("others can read it", func(t *testing.T) {
		open := writeFile(t, "open", readFile(t, key.File))
		require.NoError(t, os.Chmod(open, 0o644))
		_, stderr, status := alone(t, client(t, sshd, &sshtest.Key{File: open}, "HOST", "echo in"))
		assert.Equal(t, statusError, status)
		assert.Contains(t, stderr, "identity "+open+": permissions 0644: not used, since other users can read it")
		assert.Contains(t, stderr, "unable to authenticate")
	})
	t.Run("encrypted, without a terminal", func(t *testing.T) {
		_, stderr, status := alone(t, client(t, locked, encrypted, "HOST", "echo in"))
		assert.Equal(t, statusError, status)
		assert.Contains(t, stderr, "identity "+encrypted.File+": skipped, since the key is encrypted: no terminal to ask on")
		assert.Contains(t, stderr, "passwords and keyboard-interactive: no terminal")
	})
	t.Run("a default key", func(t *testing.T) {
		home := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
		file := filepath.Join(home, ".ssh", "id_ed25519")
		require.NoError(t, os.WriteFile(file, []byte(readFile(t, encrypted.File)), 0o600))
		host, port, err := net.SplitHostPort(locked.Addr)
		require.NoError(t, err)
		cmd := exec.Command(sshtest.Program(t, "sshclient"), "-p", port, "-l", locked.User,
			"-o", "UserKnownHostsFile="+sshtest.KnownHosts(t, locked.HostKey, locked.Addr), host, "echo in")
		cmd.Env = append(os.Environ(), "HOME="+home, "SSH_AUTH_SOCK=")
		_, stderr, status := alone(t, cmd)
		assert.Equal(t, statusError, status)
		assert.Contains(t, stderr, "not used: identity "+file+": skipped, since the key is encrypted")
		assert.NotContains(t, stderr, "id_rsa", "a default key that does not exist")
	})
	t.Run("encrypted, before another key", func(t *testing.T) {
		stdout, stderr, _ := alone(t, before(client(t, sshd, key, "HOST", "echo in"), "-i", encrypted.File))
		assert.Equal(t, "in\n", stdout, stderr)
	})
	t.Run("encrypted, before another key, with a terminal", func(t *testing.T) {
		p := sshtest.StartTerminal(t, before(client(t, sshd, key, "HOST", "echo in"), "-i", encrypted.File))
		p.Expect("in\r\n")
		assert.Zero(t, p.Wait())
		assert.NotContains(t, p.Output(), "passphrase")
	})
	t.Run("batch mode", func(t *testing.T) {
		_, stderr, _ := alone(t, before(client(t, locked, encrypted, "HOST", "echo in"), "-o", "BatchMode=yes"))
		assert.Contains(t, stderr, "skipped, since the key is encrypted: BatchMode is on")
	})
}

// TestUserCertificate claims that the client logs in with a certificate of
// CertificateFile, or in a file next to the key.
func TestUserCertificate(t *testing.T) {
	key, authority, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	trusted := writeFile(t, "authorities", authority.Line)
	sshd := sshtest.StartSSHD(t, other, "TrustedUserCAKeys "+trusted)
	cert := &ssh.Certificate{
		Key: key.Signer.PublicKey(), CertType: ssh.UserCert, KeyId: "me", ValidPrincipals: []string{sshd.User},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	require.NoError(t, cert.SignCert(rand.Reader, authority.Signer))
	text := string(ssh.MarshalAuthorizedKey(cert))

	_, stderr, status := alone(t, client(t, sshd, key, "HOST", "echo in"))
	require.Equal(t, statusError, status, "without a certificate: %s", stderr)
	named := writeFile(t, "named", text)
	stdout, stderr, _ := alone(t, before(client(t, sshd, key, "HOST", "echo in"), "-o", "CertificateFile="+named))
	assert.Equal(t, "in\n", stdout, stderr)
	require.NoError(t, os.WriteFile(key.File+"-cert.pub", []byte(text), 0o600))
	stdout, stderr, _ = alone(t, client(t, sshd, key, "HOST", "echo in"))
	assert.Equal(t, "in\n", stdout, stderr)

	_, stderr, status = alone(t, before(client(t, sshd, key, "HOST", "echo in"), "-o", "PubkeyAuthentication=no"))
	assert.Equal(t, statusError, status)
	assert.Contains(t, stderr, "unable to authenticate")
	_, _, status = alone(t, before(client(t, sshd, key, "HOST", "echo in"), "-o", "PreferredAuthentications=password"))
	assert.Equal(t, statusError, status)
}

// TestSSHDWithoutPAM claims that the client explains the refusal of an sshd that offers
// keyboard-interactive but asks no question.
func TestSSHDWithoutPAM(t *testing.T) {
	key, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, other, "Match all", "KbdInteractiveAuthentication yes")
	p := sshtest.StartTerminal(t, client(t, sshd, key, "HOST", "echo in"))
	p.Expect("unable to authenticate")
	assert.Equal(t, statusError, p.Wait())
	assert.NotContains(t, p.Output(), "unexpected message")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// TestKeyboardInteractiveWithoutAQuestion claims the same for a server in this process,
// which refuses at once as sshd does without PAM.
func TestKeyboardInteractiveWithoutAQuestion(t *testing.T) {
	key, hostKey := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	config := &ssh.ServerConfig{
		KeyboardInteractiveCallback: func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			return nil, os.ErrPermission
		},
	}
	config.AddHostKey(hostKey.Signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _, _, _ = ssh.NewServerConn(c, config)
	}()
	sshd := &sshtest.SSHD{Addr: l.Addr().String(), User: "me", HostKey: hostKey.Signer.PublicKey()}
	p := sshtest.StartTerminal(t, client(t, sshd, key, "HOST", "echo in"))
	p.Expect("unable to authenticate: the server offers keyboard-interactive, and refuses it without a question")
	assert.Equal(t, statusError, p.Wait())
	assert.NotContains(t, p.Output(), "unexpected message")
}
