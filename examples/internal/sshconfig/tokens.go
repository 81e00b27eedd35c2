package sshconfig

import (
	"crypto/sha1" //nolint:gosec // OpenSSH names its control sockets with it
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Tokens are the values of %h and the other tokens.
type Tokens struct {
	Host      string // %h: the name or address to connect to
	Original  string // %n: as on the command line
	Port      string // %p
	User      string // %r: on the server
	KeyAlias  string // %k: HostKeyAlias, or Original
	JumpHosts string // %j
}

// Expand replaces the tokens in s. It supports the letters that OpenSSH allows in
// most options, and returns an error for another.
func (t Tokens) Expand(s string) (string, error) {
	return expand(s, func(letter byte) (string, bool) {
		switch letter {
		case 'h':
			return t.Host, true
		case 'n':
			return t.Original, true
		case 'p':
			return t.Port, true
		case 'r':
			return t.User, true
		case 'k':
			return t.KeyAlias, true
		case 'j':
			return t.JumpHosts, true
		case 'd':
			return Home(), true
		case 'u':
			return LocalUser(), true
		case 'i':
			return fmt.Sprint(os.Getuid()), true
		case 'l':
			return localHost(), true
		case 'L':
			name, _, _ := strings.Cut(localHost(), ".")
			return name, true
		case 'C':
			sum := sha1.Sum([]byte(localHost() + t.Host + t.Port + t.User + t.JumpHosts)) //nolint:gosec // as above
			return hex.EncodeToString(sum[:]), true
		}
		return "", false
	})
}

// ExpandHost replaces the tokens of HostName, which allows only %h.
func ExpandHost(s, host string) (string, error) {
	return expand(s, func(letter byte) (string, bool) { return host, letter == 'h' })
}

func expand(s string, value func(letter byte) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+1 == len(s):
			return "", fmt.Errorf("%q ends with a percent sign", s)
		case s[i+1] == '%':
			b.WriteByte('%')
			i++
		default:
			i++
			v, ok := value(s[i])
			if !ok {
				return "", fmt.Errorf("%q: unknown token %%%c", s, s[i])
			}
			b.WriteString(v)
		}
	}
	return b.String(), nil
}

// ExpandEnv replaces ${NAME} by the value of the environment variable. It returns
// an error if the variable is not set.
func ExpandEnv(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			return "", fmt.Errorf("%q: ${ without }", s)
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("%q: the environment variable %s is not set", s, name)
		}
		b.WriteString(value)
		s = rest
	}
}

// ExpandHome replaces ~ or ~user at the beginning of a file name by the user's home
// directory.
func ExpandHome(file string) string {
	rest, ok := strings.CutPrefix(file, "~")
	if !ok {
		return file
	}
	name, below, _ := strings.Cut(rest, "/")
	dir := Home()
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return file
		}
		dir = u.HomeDir
	}
	return filepath.Join(dir, below)
}

// Home returns the home directory of the user who runs this process.
func Home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return dir
}

// LocalUser returns the login name of the user who runs this process.
func LocalUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func localHost() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
