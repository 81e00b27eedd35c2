package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
)

// loadIdentity reads a private key. It does not ask for the passphrase of an encrypted
// key: the key does that when the server has accepted it.
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
	if public == nil { // an older format, which does not have it in clear
		if public, err = publicKey(nil, file); err != nil {
			return nil, fmt.Errorf("the key is encrypted, and its public key is missing: %w", err)
		}
	}
	return &encryptedKey{ctx: ctx, file: file, text: text, public: public}, nil
}

// errTooOpen is the error for a private key that other users can read.
var errTooOpen = errors.New("not used, since other users can read it; try chmod 600")

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
		k.signer = signer.(ssh.AlgorithmSigner) // as all signers that x/crypto/ssh parses are
	}
	return k.signer.SignWithAlgorithm(rand, data, algorithm)
}
