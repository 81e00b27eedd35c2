//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "host_key")
	var fingerprints [8]string
	var all sync.WaitGroup
	for i := range fingerprints {
		all.Go(func() {
			signer, err := loadHostKey(file)
			if assert.NoError(t, err) {
				fingerprints[i] = string(signer.PublicKey().Marshal())
			}
		})
	}
	all.Wait()
	for _, f := range fingerprints {
		assert.Equal(t, fingerprints[0], f, "all calls return the key that one of them made")
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")

	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610} {
		require.NoError(t, os.Chmod(file, mode))
		_, err = loadHostKey(file)
		assert.ErrorContains(t, err, file+": users other than its owner", "%v", mode)
	}
	require.NoError(t, os.Chmod(file, 0o400))
	_, err = loadHostKey(file)
	assert.NoError(t, err)

	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte("no key"), 0o600))
	_, err = loadHostKey(bad)
	assert.ErrorContains(t, err, bad)
	_, err = loadHostKey(filepath.Join(bad, "below"))
	assert.ErrorContains(t, err, bad)
}

// privateHome makes a home directory that only this user can write to.
func privateHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	t.Setenv("HOME", dir)
	return dir
}

// TestStrictModes claims that authorize fails if another user could change
// authorized_keys.
func TestStrictModes(t *testing.T) {
	key := sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, home, dir, file string)
		says    string // empty: accepted
	}{
		"ours":                            {prepare: func(*testing.T, string, string, string) {}},
		"a directory for the group":       {func(t *testing.T, _, dir, _ string) { require.NoError(t, os.Chmod(dir, 0o770)) }, ".ssh: users other"},
		"a directory for all":             {func(t *testing.T, _, dir, _ string) { require.NoError(t, os.Chmod(dir, 0o707)) }, ".ssh: users other"},
		"the home directory for all":      {func(t *testing.T, home, _, _ string) { require.NoError(t, os.Chmod(home, 0o777)) }, "users other than its owner"},
		"where all can write, and sticky": {prepare: func(t *testing.T, _, dir, _ string) { require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky)) }},
		"a link to elsewhere": {func(t *testing.T, _, _, file string) {
			open := filepath.Join(t.TempDir(), "open")
			require.NoError(t, os.Mkdir(open, 0o700))
			require.NoError(t, os.Rename(file, filepath.Join(open, "keys")))
			require.NoError(t, os.Symlink(filepath.Join(open, "keys"), file))
			require.NoError(t, os.Chmod(open, 0o722))
		}, "open: users other"},
		"another's file": {func(t *testing.T, _, _, file string) {
			if err := os.Chown(file, os.Geteuid()+1, -1); err != nil {
				t.Skipf("this user cannot change the owner of a file: %v", err)
			}
		}, "belongs to another user"},
		"another's directory": {func(t *testing.T, _, dir, _ string) {
			if err := os.Chown(dir, os.Geteuid()+1, -1); err != nil {
				t.Skipf("this user cannot change the owner of a directory: %v", err)
			}
		}, "belongs to another user"},
		"a FIFO": {func(t *testing.T, _, _, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, exec.Command("mkfifo", "-m", "600", file).Run())
		}, "is not a regular file"},
		"no file": {func(t *testing.T, _, _, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Mkdir(file, 0o700))
		}, "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			home := privateHome(t)
			dir := filepath.Join(home, ".ssh")
			file := filepath.Join(dir, "authorized_keys")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.WriteFile(file, []byte(key.Line), 0o600))
			tt.prepare(t, home, dir, file)
			err := authorize(file, key.Signer.PublicKey())
			if tt.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.says)
			}
		})
	}
}

// TestCertificates claims that authorize rejects a certificate that authorized_keys
// lists like a key, since it does not check whether the certificate has expired.
func TestCertificates(t *testing.T) {
	key, ca := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	cert := &ssh.Certificate{Key: key.Signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: 1}
	require.NoError(t, cert.SignCert(rand.Reader, ca.Signer))
	file := filepath.Join(privateHome(t), "authorized_keys")
	require.NoError(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(cert), 0o600))
	assert.ErrorIs(t, authorize(file, cert), errNotAuthorized)
}

// TestOldAlgorithms claims that the server rejects algorithms that x/crypto calls
// insecure.
func TestOldAlgorithms(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	hostKey := sshtest.NewKey(t, "")
	file := filepath.Join(privateHome(t), "authorized_keys")
	require.NoError(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600))
	s, err := newServer(options{hostKey: hostKey.File, authorizedKeys: file}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	with := func(algorithm string) ssh.Signer {
		restricted, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{algorithm})
		require.NoError(t, err)
		return restricted
	}
	for name, tt := range map[string]struct {
		signer ssh.Signer
		config ssh.Config
		says   string
	}{
		"RSA with SHA-2":      {signer: with(ssh.KeyAlgoRSASHA512)},
		"RSA with SHA-1":      {signer: with(ssh.KeyAlgoRSA), says: "unable to authenticate"},
		"group 14 with SHA-1": {signer: signer, config: ssh.Config{KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}}, says: "no common algorithm"},
		"a short MAC": {
			signer: signer, config: ssh.Config{Ciphers: []string{ssh.CipherAES128CTR}, MACs: []string{ssh.InsecureHMACSHA196}}, says: "no common algorithm",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := login(t, s, &ssh.ClientConfig{
				User: "user", Auth: []ssh.AuthMethod{ssh.PublicKeys(tt.signer)}, Config: tt.config,
				HostKeyCallback: ssh.FixedHostKey(hostKey.Signer.PublicKey()),
			})
			if tt.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.says)
			}
		})
	}
}

// TestRSAHostKey claims that the server does not use an RSA host key with SHA-1, as
// x/crypto would by default.
func TestRSAHostKey(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	dir := privateHome(t)
	file := filepath.Join(dir, "host_key")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	key := sshtest.NewKey(t, "")
	authorized := filepath.Join(dir, "authorized_keys")
	require.NoError(t, os.WriteFile(authorized, []byte(key.Line), 0o600))
	s, err := newServer(options{hostKey: file, authorizedKeys: authorized}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for algorithm, says := range map[string]string{ssh.KeyAlgoRSASHA512: "", ssh.KeyAlgoRSASHA256: "", ssh.KeyAlgoRSA: "no common algorithm"} {
		t.Run(algorithm, func(t *testing.T) {
			err := login(t, s, &ssh.ClientConfig{
				User: "user", Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer)},
				HostKeyAlgorithms: []string{algorithm}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
			if says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, says)
			}
		})
	}
}

// login logs in to s and returns the error.
func login(t *testing.T, s *server, config *ssh.ClientConfig) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { assert.NoError(t, s.serve(ctx, l)) })
	defer serving.Wait()
	defer cancel()
	theirs, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer theirs.Close()
	_, _, _, err = ssh.NewClientConn(theirs, "server", config)
	return err
}

// TestRelativeThroughALink claims that the check finds a directory that others can
// write to, if the working directory leads to it through a link.
func TestRelativeThroughALink(t *testing.T) {
	home := privateHome(t)
	open := filepath.Join(home, "open")
	require.NoError(t, os.MkdirAll(filepath.Join(open, "in"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(open, "in", "keys"), []byte(sshtest.NewKey(t, "").Line), 0o600))
	require.NoError(t, os.Chmod(open, 0o777))
	link := filepath.Join(home, "link")
	require.NoError(t, os.Symlink(filepath.Join(open, "in"), link))
	t.Chdir(link) // which sets $PWD to the link
	_, err := readAuthorizedKeys("keys")
	require.ErrorContains(t, err, "open: users other than its owner")
}

func TestAuthorize(t *testing.T) {
	mine, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		says string // empty: accepted
	}{
		"alone":              {text: mine.Line},
		"among others":       {text: "# a comment\n\nnonsense\n" + other.Line + mine.Line},
		"without a newline":  {text: mine.Line[:len(mine.Line)-1]},
		"harmless option":    {text: "no-port-forwarding,no-X11-forwarding " + mine.Line},
		"another's":          {text: other.Line, says: "not in authorized_keys"},
		"empty":              {text: "", says: "not in authorized_keys"},
		"commented out":      {text: "# " + mine.Line, says: "not in authorized_keys"},
		"command":            {text: `command="date" ` + mine.Line, says: "cannot enforce"},
		"restrict":           {text: "restrict " + mine.Line, says: `"restrict"`},
		"from":               {text: `from="192.0.2.1" ` + mine.Line, says: "cannot enforce"},
		"writable by others": {text: mine.Line, mode: 0o622, says: "users other than its owner may write to it"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(privateHome(t), "authorized_keys")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			if tt.mode != 0 {
				require.NoError(t, os.Chmod(file, tt.mode))
			}
			err := authorize(file, mine.Signer.PublicKey())
			if tt.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.says)
			}
		})
	}
}
