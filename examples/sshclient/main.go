// Sshclient is an SSH client whose connection carries one mark from the first
// packet on:
//
//	sshclient [-F config] [-J jumps] [-p port] [-l user] [-i identity] [-o IPQoS="af21 cs1"]
//	          [-nat-safe] [-seal] [-t] [-s] [-v] [user@]host [command…]
//
// It knows before it connects what the session is for: with a terminal it is
// interactive, without one, as for a command or for sftp, it is bulk. The mark of
// that class goes onto the SYN and stays; there is no second one. -v tells it.
//
// It reads ~/.ssh/config and /etc/ssh/ssh_config, or the file that -F names, as
// OpenSSH does: Host, Match, Include, the quotes and the comments. Of the options
// it has those that say where to connect and through what (HostName, Port,
// AddressFamily, BindAddress, ConnectTimeout, ProxyJump, ProxyCommand,
// ProxyUseFdpass), who logs in and how (User, IdentityFile, CertificateFile,
// IdentitiesOnly, IdentityAgent, PreferredAuthentications, the switches of the
// methods, BatchMode), whom to trust (UserKnownHostsFile,
// GlobalKnownHostsFile, HostKeyAlias, StrictHostKeyChecking, HashKnownHosts),
// what runs (RemoteCommand, RequestTTY) and IPQoS. It names the options and the
// criteria of Match that it leaves out, unless nobody would miss them.
//
// Through a ProxyJump the connection to the first hop has the mark of the
// session's class, by the IPQoS of that hop. A ProxyCommand marks what it
// connects; with ProxyUseFdpass its mark is read and kept.
//
// With -seal the kernel holds the client to its mark: see [dscp.Seal]. Then a
// ProxyCommand cannot mark either.
//
// It checks host keys and certificates against known_hosts, and asks about
// unknown ones. It logs in with identity files and the agent, and asks for a
// passphrase or a password where there is a terminal.
//
// Its exit status is that of the command, or 255 if something went wrong.
// With -s it starts a subsystem instead of a command, which makes it a transport
// for OpenSSH's sftp: sftp -D "sshclient -s host sftp".
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

// statusError is what ssh exits with if it failed itself.
const statusError = 255

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	context.AfterFunc(ctx, stop) // the second signal kills
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program. When ctx ends it closes the connection, puts the terminal
// back as it was, and returns. A goroutine that reads stdin, or the terminal,
// may stay behind until that has something to read.
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
		err = context.Cause(ctx) // which signal it was
	}
	if err != nil {
		fmt.Fprintln(stderr, "sshclient:", plain(err.Error())) // a server may have a part in it
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
