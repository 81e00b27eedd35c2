package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A hostKeys checks host keys against known_hosts files.
type hostKeys struct {
	ctx    context.Context
	files  []string // the first is added to
	known  ssh.HostKeyCallback
	stderr io.Writer
}

var errHostKey = errors.New("host key verification failed")

func newHostKeys(ctx context.Context, files []string, stderr io.Writer) (*hostKeys, error) {
	var there []string
	for _, file := range append(slices.Clone(files), "/etc/ssh/ssh_known_hosts") {
		if _, err := os.Stat(file); err == nil {
			there = append(there, file)
		}
	}
	known, err := knownhosts.New(there...)
	if err != nil {
		return nil, err
	}
	return &hostKeys{ctx: ctx, files: files, known: known, stderr: stderr}, nil
}

// algorithms returns the host key algorithms in the order to ask for them: those
// of the keys that are known for addr first, or the server could choose to show
// one that is not known.
func (h *hostKeys) algorithms(addr string) []string {
	var first []string
	var unknown *knownhosts.KeyError
	if errors.As(h.known(addr, noAddr{}, noKey{}), &unknown) {
		for _, want := range unknown.Want {
			if t := want.Key.Type(); t == ssh.KeyAlgoRSA {
				first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			} else {
				first = append(first, t)
			}
		}
	}
	secure := ssh.SupportedAlgorithms().HostKeys // so no DSA, even if that is what is known
	var unique []string
	for _, a := range append(first, secure...) {
		if slices.Contains(secure, a) && !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	return unique
}

// noKey is a key that no server has.
type noKey struct{ ssh.PublicKey }

func (noKey) Type() string    { return "none" }
func (noKey) Marshal() []byte { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "tcp" }
func (noAddr) String() string  { return "0.0.0.0:0" }

// check is the ssh.HostKeyCallback.
func (h *hostKeys) check(addr string, remote net.Addr, key ssh.PublicKey) error {
	err := h.known(addr, remote, key)
	var mismatch *knownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &mismatch):
		return err // a revoked key
	case len(mismatch.Want) == 0:
		return h.ask(addr, key)
	}
	fmt.Fprintf(h.stderr, `WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!
Somebody may be eavesdropping on you, or the host key was changed.
The %s key that %s shows is %s.
`, keyType(key), knownhosts.Normalize(addr), ssh.FingerprintSHA256(key))
	for _, want := range mismatch.Want {
		fmt.Fprintf(h.stderr, "Offending %s key in %s:%d\n", keyType(want.Key), want.Filename, want.Line)
	}
	return errHostKey
}

// ask asks about a host that is not known, and remembers it.
func (h *hostKeys) ask(addr string, key ssh.PublicKey) error {
	name, fingerprint := knownhosts.Normalize(addr), ssh.FingerprintSHA256(key)
	question := fmt.Sprintf("The authenticity of host '%s' can't be established.\n%s key fingerprint is %s.\n"+
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", name, keyType(key), fingerprint)
	for {
		answer, err := ask(h.ctx, question, false)
		switch {
		case errors.Is(err, errNobody):
			return fmt.Errorf("%w: %s is not known, its %s key is %s, and %w", errHostKey, name, keyType(key), fingerprint, err)
		case err != nil:
			return err
		case answer == fingerprint || strings.EqualFold(answer, "yes"):
			h.remember(addr, key)
			return nil
		case strings.EqualFold(answer, "no"):
			return errHostKey
		}
		question = "Please type 'yes', 'no' or the fingerprint: "
	}
}

// remember adds a key to known_hosts. If that fails the session can go on.
func (h *hostKeys) remember(addr string, key ssh.PublicKey) {
	file := h.files[0]
	if strings.EqualFold(file, "none") {
		return
	}
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = appendLine(file, knownhosts.Line([]string{addr}, key))
	}
	if err != nil {
		fmt.Fprintln(h.stderr, "sshclient: the host key was not saved:", err)
		return
	}
	fmt.Fprintf(h.stderr, "Warning: Permanently added '%s' (%s) to the list of known hosts.\n", knownhosts.Normalize(addr), keyType(key))
}

// appendLine adds a line to file in one write. The last line that is there may
// lack its end, and must not run into the new one.
func appendLine(file, line string) (err error) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	text := line + "\n"
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			text = "\n" + text
		}
	}
	_, err = f.WriteString(text)
	return err
}

// keyType returns the type as people call it.
func keyType(key ssh.PublicKey) string {
	t := strings.TrimPrefix(key.Type(), "ssh-")
	if strings.HasPrefix(t, "ecdsa-") {
		t = "ecdsa"
	}
	return strings.ToUpper(t)
}
