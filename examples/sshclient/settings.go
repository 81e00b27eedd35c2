package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/godscp/godscp/dscp"
)

// keys are the options that count; others in a configuration file do not.
var keys = []string{"HostName", "Port", "User", "IdentityFile", "UserKnownHostsFile", "IPQoS"}

var known = func() map[string]bool {
	m := map[string]bool{}
	for _, key := range keys {
		m[strings.ToLower(key)] = true
	}
	return m
}()

// settings are what the options and the configuration come to.
type settings struct {
	hostName   string
	port       string
	user       string
	identities []string // private keys, those that were named first
	named      bool     // somebody named them: a missing one is worth a word
	knownHosts []string // the first is the one to add to
	ipqos      dscp.IPQoS
}

// loadSettings puts the command line and the configuration together: of each
// option the first value counts, and of IdentityFile all do.
func loadSettings(o options) (settings, error) {
	all := o.settings
	if o.config != "none" {
		file := o.config
		if file == "" {
			file = filepath.Join(sshDir(), "config")
		}
		more, err := readConfig(file, o.host, 0)
		if err != nil && (o.config != "" || !errors.Is(err, os.ErrNotExist)) {
			return settings{}, err
		}
		all = append(all, more...)
	}
	s := settings{ipqos: dscp.OpenSSH78}
	seen := map[string]bool{}
	for _, set := range all {
		if err := s.apply(set, !seen[set.key], o.host); err != nil {
			return settings{}, fmt.Errorf("%s: %w", set.from, err)
		}
		seen[set.key] = true
	}
	return s, s.complete(o.host)
}

// apply checks a setting, and takes it if it is the first of its kind.
func (s *settings) apply(set setting, first bool, host string) error {
	one := func(to *string) error {
		if len(set.words) != 1 || set.words[0] == "" {
			return fmt.Errorf("%s wants one value, not %q", set.key, set.words)
		}
		if first {
			*to = set.words[0]
		}
		return nil
	}
	switch set.key {
	case "hostname":
		name := s.hostName
		err := one(&name)
		s.hostName = strings.ReplaceAll(name, "%h", host)
		return err
	case "port":
		if n, err := strconv.ParseUint(strings.Join(set.words, " "), 10, 16); err != nil || n == 0 {
			return fmt.Errorf("bad port %q", set.words)
		}
		return one(&s.port)
	case "user":
		return one(&s.user)
	case "identityfile":
		var file string
		first = true
		if err := one(&file); err != nil {
			return err
		}
		s.identities, s.named = append(s.identities, file), true
	case "userknownhostsfile":
		if len(set.words) == 0 {
			return errors.New("userknownhostsfile wants a value")
		}
		if first {
			s.knownHosts = set.words
		}
	case "ipqos":
		for _, word := range set.words {
			if strings.ContainsAny(word, " \t") { // quoted, so that it is one word to OpenSSH
				return fmt.Errorf("IPQoS: bad value %q", word)
			}
		}
		q, err := dscp.ParseIPQoS(strings.Join(set.words, " "))
		if err != nil {
			return err
		}
		if first {
			s.ipqos = q
		}
	}
	return nil
}

// complete fills in what nobody has set, and expands file names.
func (s *settings) complete(host string) error {
	if s.hostName == "" {
		s.hostName = host
	}
	if err := checkName(host); err != nil {
		return err
	}
	if err := checkHost(s.hostName); err != nil {
		return err
	}
	if s.port == "" {
		s.port = "22"
	}
	if s.user == "" {
		u, err := user.Current()
		if err != nil {
			return err
		}
		s.user = u.Username
	}
	if len(s.identities) == 0 {
		s.identities = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	if len(s.knownHosts) == 0 {
		s.knownHosts = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	tokens := strings.NewReplacer("%%", "%", "%h", s.hostName, "%r", s.user, "%d", home(), "%p", s.port, "%n", host)
	for _, files := range [][]string{s.identities, s.knownHosts} {
		for i := range files {
			files[i] = expandHome(tokens.Replace(files[i]))
		}
	}
	return nil
}

// checkHost refuses names that no host has. One with a colon is an IPv6 address.
func checkHost(name string) error {
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return fmt.Errorf("bad host name %q", name)
	}
	return checkName(name)
}

// checkName refuses names, of a host or of a place in the configuration, that could
// stand for more than a name in known_hosts or on the terminal.
func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || strings.ContainsAny(name, `,#"*?!|@`) {
		return fmt.Errorf("bad host name %q", name)
	}
	return nil
}

func home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return dir
}

func sshDir() string { return filepath.Join(home(), ".ssh") }

func expandHome(file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(home(), rest)
	}
	return file
}
