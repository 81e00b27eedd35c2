// Sshclient is an SSH client whose connection keeps one mark from the first packet to
// the last:
//
//	sshclient [-F config] [-J jumps] [-p port] [-l user] [-i identity] [-o IPQoS="af21 cs1"]
//	          [-nat-safe] [-seal] [-t] [-s] [-v] [user@]host [command…]
//
// It chooses the mark before it connects: a session with a terminal is interactive, a
// session without one, such as a command or sftp, is bulk. It marks the SYN and all
// later packets with the mark of that class. -v prints the mark.
//
// It reads ~/.ssh/config and /etc/ssh/ssh_config, or the file of -F, as OpenSSH does,
// with Host, Match, Include, quotes and comments. It supports IPQoS and these options:
//
//   - for the connection: HostName, Port, AddressFamily, BindAddress, ConnectTimeout,
//     ProxyJump, ProxyCommand, ProxyUseFdpass
//   - for the login: User, IdentityFile, CertificateFile, IdentitiesOnly,
//     IdentityAgent, PreferredAuthentications, PubkeyAuthentication,
//     PasswordAuthentication, KbdInteractiveAuthentication, NumberOfPasswordPrompts,
//     BatchMode
//   - for host keys: UserKnownHostsFile, GlobalKnownHostsFile, HostKeyAlias,
//     StrictHostKeyChecking, HashKnownHosts
//   - for the session: RemoteCommand, RequestTTY
//
// It warns about other options and criteria of Match, except those that do not change
// where the connection goes or whom it trusts.
//
// With ProxyJump the connection to the first hop has the mark of the session's class,
// by the IPQoS of that hop. A ProxyCommand marks its own connection; with
// ProxyUseFdpass the client keeps the mark of the connection that it receives.
//
// With -seal the kernel refuses to change marks in this process, see [dscp.Seal]. Then
// a ProxyCommand cannot set a mark, either.
//
// It checks host keys and certificates against known_hosts, and asks the user about
// unknown host keys. It logs in with identity files and the agent. If there is a
// terminal, it asks for passphrases and passwords.
//
// The exit status is that of the command, or 255 after an error. With -s it starts a
// subsystem instead of a command, as a transport for OpenSSH's sftp:
// sftp -D "sshclient -s host sftp".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/godscp/godscp/dscp"
)

// statusError is the exit status after an error, as that of ssh.
const statusError = 255

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	context.AfterFunc(ctx, stop) // the second signal kills
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the program and returns its exit status. When ctx ends, it closes the
// connection, restores the terminal, and returns. A goroutine may remain until its
// read of stdin or of the terminal returns.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	status := statusError
	if err == nil {
		status, err = connectAndRun(ctx, o, stdin, stdout, stderr)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // names the signal
	}
	if err != nil {
		fmt.Fprintln(stderr, "sshclient:", plain(err.Error())) // err may have text of the server
		return statusError
	}
	return status
}

func connectAndRun(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if o.seal {
		if err := dscp.Seal(); err != nil {
			return 0, err
		}
	}
	set, err := loadSettings(ctx, o)
	if err != nil {
		return 0, err
	}
	if len(o.command) == 0 && set.command != "" {
		o.command = []string{set.command}
	}
	terminal := openTerminal(o, set.requestTTY, stdin)
	client, err := connect(ctx, o, set, terminal.wanted, stderr)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	s := session{client: client.Client, host: set.hostName, options: o, terminal: terminal, stdin: stdin, stdout: stdout, stderr: stderr}
	return s.run(ctx)
}
