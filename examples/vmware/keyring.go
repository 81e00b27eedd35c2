package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net"

	"golang.org/x/crypto/ssh"
)

// A keyring has the credentials of the SSH client and server. Each run makes new ones.
type keyring struct {
	user, password string
	host           ssh.Signer         // the server's host key
	hostKey        ed25519.PrivateKey // the same key, for the file of an sshd
	client         ed25519.PrivateKey // logs in instead of the password
}

func newKeyring() (*keyring, error) {
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return nil, err
	}
	_, client, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &keyring{user: "guest", password: rand.Text(), host: host, hostKey: hostKey, client: client}, nil
}

// serverConfig returns a configuration that accepts the user's password and key.
func (k *keyring) serverConfig() (*ssh.ServerConfig, error) {
	clientKey, err := ssh.NewPublicKey(k.client.Public())
	if err != nil {
		return nil, err
	}
	denied := errors.New("wrong user, password or key")
	config := &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() != k.user || subtle.ConstantTimeCompare(password, []byte(k.password)) == 0 {
				return nil, denied
			}
			return nil, nil
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() != k.user || !bytes.Equal(key.Marshal(), clientKey.Marshal()) {
				return nil, denied
			}
			return nil, nil
		},
	}
	config.AddHostKey(k.host)
	return config, nil
}

// sshClient logs in over c by password.
func (k *keyring) sshClient(c net.Conn) (*ssh.Client, error) {
	conn, channels, requests, err := ssh.NewClientConn(c, c.RemoteAddr().String(), &ssh.ClientConfig{
		User:            k.user,
		Auth:            []ssh.AuthMethod{ssh.Password(k.password)},
		HostKeyCallback: ssh.FixedHostKey(k.host.PublicKey()),
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}
