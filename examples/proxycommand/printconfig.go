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

	// The host is quoted, since ssh before 9.6 accepts names with shell syntax, for
	// instance from a git submodule (CVE-2023-51385). After the dashes, a name that
	// begins with a dash is not an option.
	_, err = fmt.Fprintf(w, `
# One mark for each connection, from its first packet on. Keep this at the end of
# the file. A host with another ProxyCommand needs "ProxyUseFdpass no".
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
// runs it is a terminal, as opposed to a pipe of git or scp. It prints nothing.
// ssh_config has "Match sessiontype shell" for this, but ssh before 10.0 refuses to
// run with that line.
//
// ssh gives the command another standard input, and runs it in the user's shell,
// which may not have $PPID. So the command replaces that shell by sh, whose parent
// is ssh. It has no double quotes and no backslashes, which versions of ssh read
// differently.
func atTerminal(goos string) string {
	var test string
	switch goos {
	case "darwin", "ios":
		test = "lsof -a -p $PPID -d 0 -F n | grep -q ^n/dev/tty"
	case "freebsd", "openbsd", "netbsd", "dragonfly":
		// The fourth column is the descriptor; the device is in one of the last columns.
		test = "fstat -p $PPID | { while read u c p fd file; do case $fd:$file in 0:*tty*|0:*pts/*) exit 0;; esac; done; exit 1; }"
	default: // Linux, Android, illumos, Solaris, AIX
		test = "test -t 0 </proc/$PPID/fd/0"
	}
	return "exec sh -c '{ " + test + "; } 2>/dev/null'"
}

// inConfig quotes a file name for ssh, which expands percent signs, and for the
// shell that runs the ProxyCommand. It returns an error for a name with control
// characters, which ssh_config cannot hold.
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
