package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what OpenSSH hashes host names with
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A knownKey is one line of a known_hosts file.
type knownKey struct {
	marker string // cert-authority or revoked; empty for a plain key
	hosts  string // patterns, or the hash of a name
	key    ssh.PublicKey
	file   string
	line   int
}

// readKnownHosts reads a file. It skips invalid lines and returns a message about each.
func readKnownHosts(file string) (known []knownKey, skipped []string, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for number := 1; lines.Scan(); number++ {
		k, ok, err := parseKnownKey(lines.Text())
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s line %d is skipped: %v", file, number, err))
			continue
		}
		if ok {
			k.file, k.line = file, number
			known = append(known, k)
		}
	}
	return known, skipped, lines.Err()
}

// parseKnownKey reads [@marker] hosts type key [comment]. It returns false for an
// empty line and for a comment.
func parseKnownKey(line string) (k knownKey, ok bool, err error) {
	fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return knownKey{}, false, nil
	}
	if marker, ok := strings.CutPrefix(fields[0], "@"); ok {
		if k.marker = marker; marker != "cert-authority" && marker != "revoked" {
			return knownKey{}, false, fmt.Errorf("unknown marker @%s", marker)
		}
		fields = fields[1:]
	}
	if len(fields) < 3 {
		return knownKey{}, false, errors.New("want hosts, a key type and a key")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return knownKey{}, false, fmt.Errorf("the key is not valid base64: %w", err)
	}
	if k.key, err = ssh.ParsePublicKey(blob); err != nil {
		return knownKey{}, false, fmt.Errorf("a key of type %s: %w", fields[1], err)
	}
	if k.key.Type() != fields[1] {
		return knownKey{}, false, fmt.Errorf("the key has type %s, not %s", k.key.Type(), fields[1])
	}
	k.hosts = fields[0]
	return k, true, nil
}

// matches reports whether the line is for a host with this name.
func (k *knownKey) matches(name string) bool {
	salt, hash, hashed := strings.Cut(strings.TrimPrefix(k.hosts, "|1|"), "|")
	if !strings.HasPrefix(k.hosts, "|1|") || !hashed {
		return sshconfig.MatchHost(k.hosts, name)
	}
	key, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return false
	}
	want, err := base64.StdEncoding.DecodeString(hash)
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(strings.ToLower(name)))
	return hmac.Equal(mac.Sum(nil), want)
}

// knownName returns the name of a host in known_hosts: with the port unless that is 22.
func knownName(host, port string) string {
	if port == "22" {
		return host
	}
	return "[" + host + "]:" + port
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
