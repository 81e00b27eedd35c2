package main

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// checkHost refuses names that no host has. One with a colon is an IPv6 address.
func checkHost(name string) error {
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return fmt.Errorf("bad host name %q", name)
	}
	return checkName(name)
}

// shellMeaning is what a shell may take for more than a name. A name comes into
// the commands of ProxyCommand and Match exec, and not always from the person who
// wrote those: git takes it from a submodule (CVE-2023-51385).
const shellMeaning = "'`\"$\\;&<>|(){}"

// checkName refuses names, of a host or of a place in the configuration, that could
// stand for more than a name in known_hosts, in a shell or on the terminal.
func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if name == "" || strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || strings.ContainsAny(name, ",#*?!@"+shellMeaning) {
		return fmt.Errorf("bad host name %q", name)
	}
	return nil
}

// checkUser refuses likewise a user on the command line. In a file it is by who
// wrote the commands.
func checkUser(set sshconfig.Setting) error {
	if set.Key != "user" || len(set.Words) != 1 {
		return nil
	}
	// As OpenSSH since 9.6, which lets a backslash pass: Windows has it in names.
	if name := set.Words[0]; strings.HasPrefix(name, "-") || strings.ContainsAny(name, strings.ReplaceAll(shellMeaning, `\`, "")) {
		return fmt.Errorf("bad user name %q", name)
	}
	return nil
}
