package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/godscp/godscp/examples/internal/class"
)

// printConfig prints the lines for ~/.ssh/config.
func printConfig(w io.Writer, o options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command, err := inConfig(self)
	if err != nil {
		return err
	}
	command += " -fdpass"
	if o.natSafe {
		command += " -nat-safe"
	}
	if len(o.fallback) > 0 {
		words, _ := o.fallback.MarshalText() // never fails
		command += fmt.Sprintf(` -fallback "%s"`, words)
	}
	command += fmt.Sprintf(` -ipqos "%v"`, o.ipqos)

	// Before OpenSSH 10.0 ssh_config has no word for this, but its parent's
	// standard input tells a person at a terminal from git, scp and the like.
	atTerminal := `exec "test -t 0 </proc/$PPID/fd/0"`
	if runtime.GOOS != "linux" {
		atTerminal = "sessiontype shell"
	}
	// The host is quoted: ssh before 9.6 takes names with what a shell understands
	// in them, from a git submodule for instance (CVE-2023-51385). The dashes before
	// it keep a name that begins with one from being read as an option.
	_, err = fmt.Fprintf(w, `
# One mark for each connection, from its first packet on. Keep this at the end of
# the file. A host with a ProxyCommand of its own needs "ProxyUseFdpass no".
Match %s
    ProxyCommand %s -class %s -- '%%h' %%p
Match all
    ProxyCommand %s -class %s -- '%%h' %%p
    ProxyUseFdpass yes
    IPQoS none
`, atTerminal, command, class.Interactive, command, class.Bulk)
	return err
}

// inConfig quotes a file name for the shell that runs a ProxyCommand, and for
// ssh, which expands percent signs before. A line of a configuration cannot hold
// every name.
func inConfig(file string) (string, error) {
	if strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q has characters in its name that ssh_config cannot hold", file)
	}
	file = strings.ReplaceAll(file, "%", "%%")
	if strings.Trim(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%") == "" {
		return file, nil
	}
	return "'" + strings.ReplaceAll(file, "'", `'\''`) + "'", nil
}
