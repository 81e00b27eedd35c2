//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

var errNotAuthorized = errors.New("the key is not in authorized_keys")

// authorize returns nil if the authorized_keys file has the key without a
// restriction that this server cannot enforce. It reads the file on each call, so
// that changes take effect at once.
func authorize(file string, key ssh.PublicKey) error {
	text, err := readAuthorizedKeys(file)
	if err != nil {
		return err
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return errNotAuthorized // its principals and expiry are not checked here
	}
	wanted := key.Marshal()
	for len(text) > 0 {
		// ParseAuthorizedKey skips comments and invalid lines.
		k, _, options, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			break // no more keys
		}
		text = rest
		if !bytes.Equal(k.Marshal(), wanted) {
			continue
		}
		for _, o := range options {
			if !harmless[o] {
				return fmt.Errorf("%s restricts the key with %q, which sshserver cannot enforce", file, o)
			}
		}
		return nil
	}
	return errNotAuthorized
}

// harmless are the restrictions of features that this server does not have.
var harmless = map[string]bool{"no-port-forwarding": true, "no-agent-forwarding": true, "no-X11-forwarding": true, "no-user-rc": true}
