// Proxycommand gives the real ssh connections that carry one mark from the
// first packet on:
//
//	ssh -o ProxyCommand="proxycommand -ipqos 'af21 cs1' -- '%h' %p" host
//
// It connects to host and port, marked for interactive sessions or, with -class
// bulk, for bulk, and relays between that connection and its standard input and
// output. With -fdpass it hands the connection itself to ssh and exits, so that
// nothing is copied:
//
//	Host example.com
//	    ProxyCommand proxycommand -fdpass -- '%h' %p
//	    ProxyUseFdpass yes
//	    IPQoS none
//
// The last line matters then: ssh has the socket, and whatever IPQoS says it
// would mark it with once more, in the middle of the flow: up to OpenSSH 10.0 after
// login, since 10.1 whenever a channel without a terminal opens or closes.
// Proxycommand warns where it sees that coming (on Linux). When it relays, ssh has
// only pipes and nothing to mark.
//
// The quotes around %h are for an ssh before 9.6, which hands host names to the
// shell that have commands in them (CVE-2023-51385), and the dashes for a name that
// looks like an option. A name with a quote in it still gets out of the quotes:
// only a newer ssh refuses it.
//
// The command
//
//	proxycommand -print-config >>~/.ssh/config
//
// configures ssh, and with it git, scp, sftp, rsync and Ansible: the interactive
// mark for sessions at a terminal, the one for bulk for the rest. Every ssh since
// 8.4 takes the lines, and examples/sshclient does. They are for systems where a
// process can hand a socket to another, which Windows cannot.
//
// The mark is chosen when a connection is made. With a ControlMaster that is at the
// first session: what joins it later has the mark of that session, a file copy that
// of a terminal, for as long as the master lives. An ssh that marks by itself would
// do no better: up to OpenSSH 10.0 the first session decides, too, and since 10.1 a
// copy changes the mark of the connection, and of the terminal's session with it.
// Whoever wants both marks gives the copies a host alias with a ControlPath of its
// own, or "ControlPath none".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"github.com/godscp/godscp/dscp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	context.AfterFunc(ctx, stop) // the second signal kills
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program. It closes stdout, if that can be closed, when the server
// has sent everything. If the connection breaks while stdin is quiet, a goroutine
// stays behind that reads stdin.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case o.printConfig:
		err = printConfig(stdout, o)
	default:
		err = connect(ctx, o, stdin, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	if ctx.Err() == nil { // else we were told to end, and nobody asks why
		fmt.Fprintln(stderr, "proxycommand:", err)
	}
	return 1
}

func connect(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) error {
	d := dscp.Dialer{DSCP: o.mark(), NATSafe: o.natSafe, Fallback: o.fallback}
	if o.fdpass {
		if err := takesDescriptor(stdout); err != nil {
			return err
		}
		// ssh sets what it wants, by its TCPKeepAlive option.
		d.NetDialer = &net.Dialer{KeepAlive: -1}
	} else {
		// As ssh would by default: keep-alive as the system has it, and not in
		// net's far shorter intervals, which end sessions that could have lived.
		d.NetDialer = &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}}
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(o.host, o.port))
	if err != nil {
		return err
	}
	conn := c.(*dscp.Conn) // as DialContext says of tcp
	defer conn.Close()
	if !o.fdpass {
		return relay(ctx, conn, stdin, stdout)
	}
	if theirs := callerIPQoS(ctx); willRemark(theirs, conn.DSCP()) {
		fmt.Fprintf(stderr, "proxycommand: warning: this connection to %s is marked %v, and ssh will mark it again "+
			"while it lives, since its IPQoS is %q; set \"IPQoS none\" for this host\n", conn.RemoteAddr(), conn.DSCP(), theirs)
	}
	return passDescriptor(stdout, conn)
}
