package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// authMethods returns the ways to log in, in the order in which to try them, and
// a function that ends the connection to the agent.
func authMethods(ctx context.Context, s settings, stderr io.Writer) (methods []ssh.AuthMethod, done func()) {
	signers := identities(ctx, s, stderr)
	done = func() {}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "unix", socket); err == nil {
			// The agent's protocol knows no context: only this ends a call that
			// waits for an answer, here or when the agent signs.
			stop := context.AfterFunc(ctx, func() { c.Close() })
			done = func() {
				stop()
				c.Close()
			}
			if held, err := agent.NewClient(c).Signers(); err == nil {
				signers = withAgent(signers, held)
			}
		}
	}
	who := s.user + "@" + s.hostName
	return []ssh.AuthMethod{
		ssh.PublicKeys(signers...),
		ssh.RetryableAuthMethod(ssh.KeyboardInteractive(func(_, instruction string, questions []string, echos []bool) ([]string, error) {
			return answers(ctx, who, instruction, questions, echos)
		}), 3),
		ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
			return ask(ctx, who+"'s password: ", true)
		}), 3),
	}, done
}

// identities returns the private keys in files. The default ones need not exist.
func identities(ctx context.Context, s settings, stderr io.Writer) []ssh.Signer {
	var signers []ssh.Signer
	for _, file := range s.identities {
		signer, err := loadIdentity(ctx, file)
		if err == nil {
			signers = append(signers, signer)
		} else if s.named || !errors.Is(err, os.ErrNotExist) {
			fmt.Fprintln(stderr, "sshclient: identity", file+":", err)
		}
	}
	return signers
}

// withAgent returns files, each taken from the agent if that has it, and behind
// them the agent's others. The agent needs no passphrase.
func withAgent(files, held []ssh.Signer) []ssh.Signer {
	same := func(a, b ssh.Signer) bool { return bytes.Equal(a.PublicKey().Marshal(), b.PublicKey().Marshal()) }
	var others []ssh.Signer
next:
	for _, h := range held {
		for i, f := range files {
			if same(f, h) {
				files[i] = h
				continue next
			}
		}
		others = append(others, h)
	}
	return append(files, others...)
}

// answers puts a server's questions to the person at the terminal.
func answers(ctx context.Context, who, instruction string, questions []string, echos []bool) ([]string, error) {
	var all []string
	for i, q := range questions {
		if instruction != "" && i == 0 {
			q = instruction + "\n" + q
		}
		a, err := ask(ctx, "("+who+") "+plain(q), !echos[i])
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}
