package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An authenticator logs in.
type authenticator struct {
	ctx      context.Context
	settings settings
	hostKeys *hostKeys
	warn     func(format string, args ...any)
	signers  []ssh.Signer
	skipped  []string // why keys are not used; printed if the login fails
	done     func()   // ends the connection to the agent
}

// errBatch is the reason for not asking the user.
var errBatch = errors.New("BatchMode is on")

// newAuthenticator collects the keys.
func newAuthenticator(ctx context.Context, c *connector, h *hostKeys) *authenticator {
	a := &authenticator{ctx: ctx, settings: c.settings, hostKeys: h, warn: c.warn, done: func() {}}
	held := a.agentKeys()
	var locked []ssh.Signer
	for _, file := range c.identities {
		signer := a.identity(file, held)
		if signer == nil {
			continue
		}
		with := append(a.certified(signer, file), signer)
		if _, encrypted := signer.(*encryptedKey); encrypted {
			locked = append(locked, with...)
		} else {
			a.signers = append(a.signers, with...)
		}
	}
	if !c.onlyNamed {
		for _, other := range held {
			if !slices.ContainsFunc(a.signers, func(s ssh.Signer) bool { return sameKey(s.PublicKey(), other.PublicKey()) }) {
				a.signers = append(a.signers, other)
			}
		}
	}
	// Encrypted keys come last, so that the user enters a passphrase only if the server
	// accepts no other key, and because x/crypto/ssh stops at a key that cannot sign.
	a.signers = append(a.signers, locked...)
	return a
}

// close ends the connection to the agent.
func (a *authenticator) close() { a.done() }

// agentSocket returns the socket of the agent: IdentityAgent or, if that is not set,
// $SSH_AUTH_SOCK.
func agentSocket(agent string, expand func(string) string) string {
	switch {
	case agent == "", agent == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case strings.EqualFold(agent, "none"):
		return ""
	case strings.HasPrefix(agent, "$") && !strings.HasPrefix(agent, "${"):
		return os.Getenv(agent[1:])
	}
	return expand(agent)
}

// agentKeys returns the agent's keys.
func (a *authenticator) agentKeys() []ssh.Signer {
	if a.settings.agent == "" {
		return nil
	}
	var d net.Dialer
	c, err := d.DialContext(a.ctx, "unix", a.settings.agent)
	if err != nil {
		a.skipped = append(a.skipped, fmt.Sprintf("the agent: %v", err))
		return nil
	}
	// The agent package has no contexts: closing the connection ends a call that waits
	// for an answer, here or when the agent signs.
	stop := context.AfterFunc(a.ctx, func() { c.Close() })
	a.done = func() {
		stop()
		c.Close()
	}
	held, err := agent.NewClient(c).Signers()
	if err != nil {
		a.skipped = append(a.skipped, fmt.Sprintf("the agent: %v", err))
	}
	return held
}

// identity returns the key of a file, or the same key from the agent, which needs no
// passphrase. If the key cannot be used, identity returns nil and warns or adds to
// a.skipped. It ignores default files that do not exist.
func (a *authenticator) identity(file string, held []ssh.Signer) ssh.Signer {
	signer, err := loadIdentity(a.ctx, file)
	public, _ := publicKey(signer, file)
	if i := slices.IndexFunc(held, func(h ssh.Signer) bool { return public != nil && sameKey(h.PublicKey(), public) }); i >= 0 {
		return held[i]
	}
	if err != nil && public != nil && signer == nil && isPublic(file) {
		err = errors.New("this is a public key, and no agent has its private key")
	}
	if _, encrypted := signer.(*encryptedKey); encrypted {
		if why := a.mute(); why != nil {
			err = fmt.Errorf("skipped, since the key is encrypted: %w", why)
		}
	}
	switch {
	case err == nil:
		return signer
	case errors.Is(err, os.ErrNotExist) && !a.settings.named:
	case a.settings.named, errors.Is(err, errTooOpen):
		a.warn("identity %s: %v", file, err)
	default:
		a.skipped = append(a.skipped, fmt.Sprintf("identity %s: %v", file, err))
	}
	return nil
}

// certified returns the key with each of its certificates: those of CertificateFile,
// and the file-cert.pub. Like ssh, the client tries them before the key alone.
func (a *authenticator) certified(signer ssh.Signer, file string) []ssh.Signer {
	var all []ssh.Signer
	for _, name := range append(slices.Clone(a.settings.certificates), file+"-cert.pub") {
		text, err := os.ReadFile(name)
		beside := name == file+"-cert.pub"
		if errors.Is(err, os.ErrNotExist) && beside {
			continue
		}
		var public ssh.PublicKey
		if err == nil {
			public, _, _, _, err = ssh.ParseAuthorizedKey(text)
		}
		cert, ok := public.(*ssh.Certificate)
		switch {
		case err != nil:
			a.skipped = append(a.skipped, fmt.Sprintf("certificate %s: %v", name, err))
		case !ok:
			a.skipped = append(a.skipped, fmt.Sprintf("certificate %s: not a certificate", name))
		case sameKey(cert.Key, signer.PublicKey()):
			if s, err := ssh.NewCertSigner(cert, signer); err == nil {
				all = append(all, s)
			}
		}
	}
	return all
}

// mute returns why the user cannot be asked, or nil.
func (a *authenticator) mute() error {
	if a.settings.batch {
		return errBatch
	}
	if !canAsk() {
		return errNoTerminal
	}
	return nil
}

// methods returns the authentication methods in the order in which to try them.
func (a *authenticator) methods() []ssh.AuthMethod {
	who := a.settings.user + "@" + a.settings.hostName
	all := map[string]ssh.AuthMethod{}
	if !a.settings.noPublicKey {
		all["publickey"] = ssh.PublicKeys(a.signers...)
	}
	why := a.mute()
	if why == nil && !a.settings.noKeyboard {
		all["keyboard-interactive"] = a.retryable(ssh.KeyboardInteractive(
			func(_, instruction string, questions []string, echos []bool) ([]string, error) {
				return a.answers(who, instruction, questions, echos)
			}))
	}
	if why == nil && !a.settings.noPassword {
		all["password"] = a.retryable(ssh.PasswordCallback(func() (string, error) {
			if a.hostKeys.changed {
				return "", errChanged
			}
			return ask(a.ctx, who+"'s password: ", true)
		}))
	}
	if why != nil && !(a.settings.noKeyboard && a.settings.noPassword) {
		a.skipped = append(a.skipped, fmt.Sprintf("passwords and keyboard-interactive: %v", why))
	}
	order := a.settings.auth
	if order == nil {
		order = []string{"publickey", "keyboard-interactive", "password"}
	}
	var methods []ssh.AuthMethod
	for _, name := range order {
		if m, ok := all[name]; ok {
			methods = append(methods, m)
		}
	}
	return methods
}

// retryable tries the method as often as NumberOfPasswordPrompts allows.
func (a *authenticator) retryable(m ssh.AuthMethod) ssh.AuthMethod {
	return ssh.RetryableAuthMethod(m, max(a.settings.prompts, 1))
}

// errChanged keeps passwords from a server that may be an impostor.
var errChanged = errors.New("no passwords are sent, since the host key has changed")

// answers asks the user the server's questions.
func (a *authenticator) answers(who, instruction string, questions []string, echos []bool) ([]string, error) {
	if a.hostKeys.changed {
		return nil, errChanged
	}
	var all []string
	for i, q := range questions {
		if instruction != "" && i == 0 {
			q = instruction + "\n" + q
		}
		answer, err := ask(a.ctx, "("+who+") "+plain(q), !echos[i])
		if err != nil {
			return nil, err
		}
		all = append(all, answer)
	}
	return all, nil
}

// explain adds the user and host to the error of a failed login, and prints which
// keys and methods were not tried.
func (a *authenticator) explain(err error) error {
	if err == nil {
		return nil
	}
	// Some servers offer keyboard-interactive and refuse it at once. x/crypto/ssh
	// reports that as an unexpected message (51 is SSH_MSG_USERAUTH_FAILURE).
	refused := strings.HasSuffix(err.Error(), "unexpected message type 51 (expected 60)")
	if refused {
		err = errors.New("unable to authenticate: the server offers keyboard-interactive, and refuses it without a question")
	}
	if refused || strings.Contains(err.Error(), "unable to authenticate") {
		for _, text := range a.skipped {
			a.warn("not used: %s", text)
		}
		err = fmt.Errorf("login as %s to %s: %w", a.settings.user, a.hostKeys.name, err)
	}
	return err
}

// publicKey returns the public key of signer or, if that is nil, of file.pub or file.
// The file is a public key if only an agent has the private key.
func publicKey(signer ssh.Signer, file string) (ssh.PublicKey, error) {
	if signer != nil {
		return signer.PublicKey(), nil
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		if text, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return public, err
}

func isPublic(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	_, _, _, _, err = ssh.ParseAuthorizedKey(text)
	return err == nil
}
