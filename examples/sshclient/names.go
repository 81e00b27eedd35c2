package main

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// checkHost returns an error for a name that no host can have. A name with a colon must
// be an IPv6 address.
func checkHost(name string) error {
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return fmt.Errorf("bad host name %q", name)
	}
	return checkName(name)
}

// shellMeaning are characters with a meaning to a shell. The commands of ProxyCommand
// and Match exec contain names, which may come from a stranger, for example from a git
// submodule (CVE-2023-51385).
const shellMeaning = "'`\"$\\;&<>|(){}"

// checkName returns an error for a name of a host, or of a Host block, that has a
// special meaning in known_hosts, to a shell or to the terminal.
func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if name == "" || strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || strings.ContainsAny(name, ",#*?!@"+shellMeaning) {
		return fmt.Errorf("bad host name %q", name)
	}
	return nil
}

// checkUser does the same for a user name on the command line. One in a configuration
// file comes from the author of the commands.
func checkUser(set sshconfig.Setting) error {
	if set.Key != "user" || len(set.Words) != 1 {
		return nil
	}
	// As OpenSSH since 9.6, which allows a backslash: Windows user names have it.
	if name := set.Words[0]; strings.HasPrefix(name, "-") || strings.ContainsAny(name, strings.ReplaceAll(shellMeaning, `\`, "")) {
		return fmt.Errorf("bad user name %q", name)
	}
	return nil
}
