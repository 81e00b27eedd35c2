package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
)

// loadIdentity reads a private key. If it is encrypted, the passphrase is not
// asked for before the server has said that it would take the key.
func loadIdentity(ctx context.Context, file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(file); err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	if !errors.As(err, &encrypted) {
		if err != nil {
			return nil, err
		}
		return signer, nil
	}
	public := encrypted.PublicKey
	if public == nil { // an older format, which hides it
		if public, err = publicKey(nil, file); err != nil {
			return nil, fmt.Errorf("the key is encrypted, and its public key is not there: %w", err)
		}
	}
	return &encryptedKey{ctx: ctx, file: file, text: text, public: public}, nil
}

// errTooOpen refuses a private key that is private no more.
var errTooOpen = errors.New("others can read it, so it is not used; try chmod 600")

// An encryptedKey asks for its passphrase when it has to sign.
type encryptedKey struct {
	ctx    context.Context
	file   string
	text   []byte
	public ssh.PublicKey
	signer ssh.AlgorithmSigner // nil until it is decrypted
}

func (k *encryptedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *encryptedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner], without which RSA keys
// would be used with SHA-1.
func (k *encryptedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	for tries := 0; k.signer == nil; tries++ {
		if tries == 3 {
			return nil, fmt.Errorf("%s: no passphrase", k.file)
		}
		passphrase, err := ask(k.ctx, fmt.Sprintf("Enter passphrase for key '%s': ", k.file), true)
		if err != nil {
			return nil, fmt.Errorf("%s is encrypted: %w", k.file, err)
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.text, []byte(passphrase))
		if err != nil {
			continue
		}
		k.signer = signer.(ssh.AlgorithmSigner) // as x/crypto/ssh says of those it parses
	}
	return k.signer.SignWithAlgorithm(rand, data, algorithm)
}
