// Proxycommand makes connections for OpenSSH's ssh that have one mark from the
// first packet to the last:
//
//	ssh -o ProxyCommand="proxycommand -ipqos 'af21 cs1' -- '%h' %p" host
//
// It connects to host and port with the mark for interactive sessions or, with
// -class bulk, the one for bulk. Then it relays between that connection and its
// standard input and output. With -fdpass it passes the connection to ssh and
// exits, so that no data is copied:
//
//	Host example.com
//	    ProxyCommand proxycommand -fdpass -- '%h' %p
//	    ProxyUseFdpass yes
//	    IPQoS none
//
// IPQoS none is necessary with -fdpass: ssh has the socket and would mark it again
// by its IPQoS, in the middle of the flow: up to OpenSSH 10.0 after login, since
// 10.1 whenever a channel without a terminal opens or closes. On Linux,
// proxycommand warns if ssh will do that. Without -fdpass, ssh has only pipes and
// cannot mark anything.
//
// The quotes around %h protect the shell from host names that contain commands,
// which ssh before 9.6 accepts (CVE-2023-51385). The dashes protect from a name
// that looks like an option. The quotes do not help against a name that contains a
// quote; only ssh since 9.6 refuses it.
//
// The command
//
//	proxycommand -print-config >>~/.ssh/config
//
// configures ssh, and with it git, scp, sftp, rsync and Ansible: sessions at a
// terminal get the interactive mark, all others the mark for bulk. OpenSSH since
// 8.4 and examples/sshclient accept the lines. They do not work on Windows, where a
// process cannot pass a socket to another.
//
// Proxycommand chooses the mark when it connects. With a ControlMaster this happens
// at the first session: sessions that join it later have the same mark, for example
// a file copy that of a terminal. OpenSSH's own marking does not avoid this: up to
// OpenSSH 10.0 the first session decides, too, and since 10.1 a copy changes the
// mark of the connection, and so of the terminal's session. To use both marks, give
// the copies a host alias with another ControlPath, or with "ControlPath none".
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

// run runs the program and returns its exit status. If stdout is an io.Closer, run
// closes it when the server has closed its side. If the connection breaks, a
// goroutine remains until its read of stdin returns.
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
	if ctx.Err() == nil { // else a signal ended the program: ssh needs no message
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
		// ssh sets keep-alive itself, by its TCPKeepAlive option.
		d.NetDialer = &net.Dialer{KeepAlive: -1}
	} else {
		// As ssh by default: keep-alive with the system's intervals. The far shorter
		// ones of package net would end sessions during an outage that they could
		// survive.
		d.NetDialer = &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}}
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(o.host, o.port))
	if err != nil {
		return err
	}
	conn := c.(*dscp.Conn) // always, for tcp
	defer conn.Close()
	if !o.fdpass {
		return relay(ctx, conn, stdin, stdout)
	}
	if theirs := callerIPQoS(ctx); willRemark(theirs, conn.DSCP()) {
		fmt.Fprintf(stderr, "proxycommand: warning: the connection to %s is marked %v, and ssh will change its mark, "+
			"since its IPQoS is %q; set \"IPQoS none\" for this host\n", conn.RemoteAddr(), conn.DSCP(), theirs)
	}
	return passDescriptor(stdout, conn)
}
