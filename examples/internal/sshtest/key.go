package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// A Key is a key pair on disk.
type Key struct {
	Signer ssh.Signer
	File   string // file name of the private key, in OpenSSH's format
	Line   string // the public key, as a line of authorized_keys
}

// NewKey makes a key. A passphrase that is not empty encrypts the file.
func NewKey(tb testing.TB, passphrase string) *Key {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(tb, err)

	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	require.NoError(tb, err)
	dir := tb.TempDir()
	require.NoError(tb, os.Chmod(dir, 0o700)) // the umask may allow more
	file := filepath.Join(dir, "id_ed25519")
	require.NoError(tb, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	return &Key{Signer: signer, File: file, Line: string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}
}

// Decrypt returns the private key in an encrypted file's text.
func Decrypt(tb testing.TB, text []byte, passphrase string) any {
	tb.Helper()
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(text, []byte(passphrase))
	require.NoError(tb, err)
	return key
}
