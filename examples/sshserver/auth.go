//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

var errNotAuthorized = errors.New("the key is not in authorized_keys")

// authorize looks for key in an authorized_keys file, which is read each time, so
// that a change of it counts at once.
func authorize(file string, key ssh.PublicKey) error {
	text, err := readAuthorizedKeys(file)
	if err != nil {
		return err
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return errNotAuthorized // nobody has looked for whom and until when it is
	}
	wanted := key.Marshal()
	for len(text) > 0 {
		// It skips comments and what it cannot read.
		k, _, options, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			break // nothing more
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

// harmless are the restrictions of things that this server does not do at all.
var harmless = map[string]bool{"no-port-forwarding": true, "no-agent-forwarding": true, "no-X11-forwarding": true, "no-user-rc": true}
