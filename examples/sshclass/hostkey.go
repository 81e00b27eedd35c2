package sshclass

import (
	"bytes"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// An acceptedKey remembers the host key that was accepted last.
type acceptedKey struct {
	mu  sync.Mutex // held during check: the other connection waits for its result
	key []byte
}

// once returns a callback that calls check unless the key is the last accepted one.
// x/crypto/ssh calls it again for each key exchange of a connection.
func (a *acceptedKey) once(check ssh.HostKeyCallback) ssh.HostKeyCallback {
	return func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		shown := key.Marshal()
		if bytes.Equal(a.key, shown) {
			return nil
		}
		if err := check(hostname, remote, key); err != nil {
			return err
		}
		a.key = shown
		return nil
	}
}
