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

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A hostKeys checks the key of one host against known_hosts files.
type hostKeys struct {
	ctx       context.Context
	name      string   // the host's name in known_hosts
	withoutIt string   // the name without the port, as known_hosts may have it; may be empty
	principal string   // the host's name in certificates
	files     []string // new keys go to the first
	hash      bool
	strict    strictness
	batch     bool
	known     []knownKey
	stderr    io.Writer
	changed   bool // connected although the key has changed: send no password
}

var errHostKey = errors.New("host key verification failed")

// mostSkipped limits the warnings about invalid lines of a file.
const mostSkipped = 3

func newHostKeys(ctx context.Context, c *connector) (*hostKeys, error) {
	h := &hostKeys{
		ctx: ctx, name: knownName(c.hostName, c.port), principal: c.hostName,
		files: c.knownHosts, hash: c.hashHosts, strict: c.strict, batch: c.batch, stderr: c.stderr,
	}
	if h.name != c.hostName {
		h.withoutIt = c.hostName
	}
	if c.alias != "" {
		h.name, h.withoutIt, h.principal = c.alias, "", c.alias
	}
	for _, file := range slices.Concat(c.knownHosts, c.globalHosts) {
		known, skipped, err := readKnownHosts(file)
		if err != nil {
			return nil, err
		}
		h.known = append(h.known, known...)
		for i, text := range skipped {
			if i == mostSkipped {
				c.warn("%s: %d more lines are skipped", file, len(skipped)-i)
				break
			}
			c.warn("%s", text)
		}
	}
	return h, nil
}

// about returns the lines with this marker that match the name.
func (h *hostKeys) about(name, marker string) []knownKey {
	var all []knownKey
	for _, k := range h.known {
		if k.marker == marker && k.matches(name) {
			all = append(all, k)
		}
	}
	return all
}

// algorithms returns the host key algorithms in order of preference: those of
// certificates if an authority is known for the host, then those of the host's known
// keys. Otherwise the server could choose a key that is not known.
func (h *hostKeys) algorithms() []string {
	secure := ssh.SupportedAlgorithms().HostKeys // without DSA, even if the known key is DSA
	var first []string
	if len(h.about(h.name, "cert-authority")) > 0 {
		for _, a := range secure {
			if strings.Contains(a, "-cert-") {
				first = append(first, a)
			}
		}
	}
	plain := h.about(h.name, "")
	if len(plain) == 0 && h.withoutIt != "" {
		plain = h.about(h.withoutIt, "")
	}
	for _, k := range plain {
		if t := k.key.Type(); t == ssh.KeyAlgoRSA {
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			first = append(first, t)
		}
	}
	var unique []string
	for _, a := range append(first, secure...) {
		if slices.Contains(secure, a) && !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	return unique
}

// check is an [ssh.HostKeyCallback].
func (h *hostKeys) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, k := range h.about(h.name, "revoked") {
		if cert, ok := key.(*ssh.Certificate); sameKey(k.key, key) || ok && (sameKey(k.key, cert.Key) || sameKey(k.key, cert.SignatureKey)) {
			return fmt.Errorf("%w: the %s key of %s is revoked in %s:%d", errHostKey, keyType(k.key), h.name, k.file, k.line)
		}
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		if slices.ContainsFunc(h.about(h.name, "cert-authority"), func(k knownKey) bool { return sameKey(k.key, cert.SignatureKey) }) {
			return h.checkCertificate(cert)
		}
		key = cert.Key // the authority is not known: check the key alone
	}
	known := h.about(h.name, "")
	same := func(k knownKey) bool { return sameKey(k.key, key) }
	if slices.ContainsFunc(known, same) || h.withoutIt != "" && len(known) == 0 && slices.ContainsFunc(h.about(h.withoutIt, ""), same) {
		return nil
	}
	var offending []knownKey
	for _, k := range known {
		if k.key.Type() == key.Type() {
			offending = append(offending, k)
		}
	}
	if len(offending) == 0 {
		return h.unknown(key, known)
	}
	return h.mismatch(key, offending)
}

// checkCertificate checks a certificate of a known authority.
func (h *hostKeys) checkCertificate(cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return fmt.Errorf("%w: the certificate of %s is not a host certificate", errHostKey, h.name)
	}
	name := h.principal
	for _, pattern := range cert.ValidPrincipals { // OpenSSH 10.6 reads them as patterns, 10.0 as names
		if sshconfig.MatchPattern(pattern, name) {
			name = pattern
			break
		}
	}
	if err := new(ssh.CertChecker).CheckCert(name, cert); err != nil {
		return fmt.Errorf("%w: the certificate of %s: %w", errHostKey, h.name, err)
	}
	return nil
}

// mismatch handles a host whose known key of this type is another.
func (h *hostKeys) mismatch(key ssh.PublicKey, offending []knownKey) error {
	fmt.Fprintf(h.stderr, `WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!
This may be an attack on the connection, or the host has a new key.
The %s key of %s is now %s.
`, keyType(key), h.name, ssh.FingerprintSHA256(key))
	for _, k := range offending {
		fmt.Fprintf(h.stderr, "Offending %s key in %s:%d\n", keyType(k.key), k.file, k.line)
	}
	if h.strict != strictOff {
		return errHostKey
	}
	fmt.Fprintln(h.stderr, "StrictHostKeyChecking is off: connecting anyway, without passwords")
	h.changed = true
	return nil
}

// unknown handles a host without a known key of this type.
func (h *hostKeys) unknown(key ssh.PublicKey, others []knownKey) error {
	fingerprint := ssh.FingerprintSHA256(key)
	refuse := func(why error) error {
		return fmt.Errorf("%w: %s is not known, its %s key is %s: %w", errHostKey, h.name, keyType(key), fingerprint, why)
	}
	switch {
	case h.strict == strictYes:
		return refuse(errors.New("StrictHostKeyChecking is yes"))
	case h.strict == strictNew, h.strict == strictOff:
		h.remember(key)
		return nil
	case h.batch:
		return refuse(errBatch)
	}
	question := fmt.Sprintf("The authenticity of host '%s' can't be established.\n", h.name)
	for _, k := range others {
		question += fmt.Sprintf("Another key of this host, of type %s, is known in %s:%d.\n", keyType(k.key), k.file, k.line)
	}
	question += fmt.Sprintf("%s key fingerprint is %s.\n"+
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", keyType(key), fingerprint)
	for {
		answer, err := ask(h.ctx, question, false)
		switch {
		case errors.Is(err, errNoTerminal):
			return refuse(err)
		case err != nil:
			return err
		case answer == fingerprint || strings.EqualFold(answer, "yes"):
			h.remember(key)
			return nil
		case strings.EqualFold(answer, "no"):
			return errHostKey
		}
		question = "Please type 'yes', 'no' or the fingerprint: "
	}
}

// remember adds a key to known_hosts. If that fails, it warns, and the session goes on.
func (h *hostKeys) remember(key ssh.PublicKey) {
	if len(h.files) == 0 {
		return
	}
	file, name := h.files[0], h.name
	if h.hash {
		name = knownhosts.HashHostname(name)
	}
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = appendLine(file, name+" "+strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n"))
	}
	if err != nil {
		fmt.Fprintln(h.stderr, "sshclient: the host key was not saved:", err)
		return
	}
	fmt.Fprintf(h.stderr, "Warning: Permanently added '%s' (%s) to the list of known hosts.\n", h.name, keyType(key))
}

// appendLine adds a line to file in one write. If the last line has no newline, it adds
// one first.
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

// keyType returns the short name of a key's type, such as ED25519.
func keyType(key ssh.PublicKey) string {
	t := strings.TrimPrefix(key.Type(), "ssh-")
	if strings.HasPrefix(t, "ecdsa-") {
		t = "ecdsa"
	}
	return strings.ToUpper(t)
}
