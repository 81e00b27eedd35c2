package sshconfig

import (
	"crypto/sha1" //nolint:gosec // what OpenSSH names its control sockets with
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Tokens are what %h and its like stand for.
type Tokens struct {
	Host      string // %h: the name or address to connect to
	Original  string // %n: as on the command line
	Port      string // %p
	User      string // %r: on the far side
	KeyAlias  string // %k: HostKeyAlias, or Original
	JumpHosts string // %j
}

// Expand replaces the tokens in s, of the letters that OpenSSH knows for most
// options. A letter that it does not know is an error.
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

// ExpandHost replaces the tokens of HostName, which are fewer.
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
				return "", fmt.Errorf("%q: %%%c is not known", s, s[i])
			}
			b.WriteString(v)
		}
	}
	return b.String(), nil
}

// ExpandEnv replaces ${NAME} by the value of the environment variable. One that
// is not set is an error.
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
			return "", fmt.Errorf("%q: the brace of ${ is not closed", s)
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("%q: the environment variable %s is not set", s, name)
		}
		b.WriteString(value)
		s = rest
	}
}

// ExpandHome replaces the ~ or ~user at the beginning of a file name.
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

// Home is the home directory of the person who runs this.
func Home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return dir
}

// LocalUser is the login name of the person who runs this.
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
