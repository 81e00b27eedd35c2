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
	if err := canFdpass(); err != nil {
		return err
	}
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

	// The host is quoted: ssh before 9.6 takes names with what a shell understands
	// in them, from a git submodule for instance (CVE-2023-51385). The dashes before
	// it keep a name that begins with one from being read as an option.
	_, err = fmt.Fprintf(w, `
# One mark for each connection, from its first packet on. Keep this at the end of
# the file. A host with a ProxyCommand of its own needs "ProxyUseFdpass no".
Match exec "%s"
    ProxyCommand %s -class %s -- '%%h' %%p
Match all
    ProxyCommand %s -class %s -- '%%h' %%p
    ProxyUseFdpass yes
    IPQoS none
`, atTerminal(runtime.GOOS), command, class.Interactive, command, class.Bulk)
	return err
}

// atTerminal returns a command that succeeds if the standard input of the ssh that
// runs it is a terminal, and says nothing: a person is there, and not git, scp or
// the like. ssh_config itself has a word for this, "sessiontype shell", but an ssh
// before 10.0 refuses to run with it.
//
// ssh gives the command no input of its own, and has the user's shell run it, which
// may be one with other words for $PPID. So sh takes the place of that shell, and
// ssh is its parent. The text has no double quotes and no backslashes, which versions
// of ssh read differently.
func atTerminal(goos string) string {
	var test string
	switch goos {
	case "darwin", "ios":
		test = "lsof -a -p $PPID -d 0 -F n | grep -q ^n/dev/tty"
	case "freebsd", "openbsd", "netbsd", "dragonfly":
		// The fourth column is the descriptor, one of the last the device.
		test = "fstat -p $PPID | { while read u c p fd file; do case $fd:$file in 0:*tty*|0:*pts/*) exit 0;; esac; done; exit 1; }"
	default: // Linux, Android, illumos, Solaris, AIX
		test = "test -t 0 </proc/$PPID/fd/0"
	}
	return "exec sh -c '{ " + test + "; } 2>/dev/null'"
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
