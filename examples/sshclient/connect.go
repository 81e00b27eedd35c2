package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

// connect dials with the mark of the session's class, and logs in.
func connect(ctx context.Context, o options, s settings, t terminal, stderr io.Writer) (*ssh.Client, error) {
	addr := net.JoinHostPort(s.hostName, s.port)
	d := dscp.Dialer{DSCP: s.ipqos.Bulk, NATSafe: o.natSafe}
	class := "bulk"
	if t.wanted {
		d.DSCP, class = s.ipqos.Interactive, "interactive"
	}
	say := func(format string, args ...any) {
		if o.verbose {
			fmt.Fprintf(stderr, "sshclient: "+format+"\n", args...)
		}
	}
	say("connecting to %s, %s", addr, class)
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	pinned, _ := dscp.Of(conn)
	say("connected to %s from %s, marked %v", conn.RemoteAddr(), conn.LocalAddr(), pinned.DSCP())

	keys, err := newHostKeys(ctx, s.knownHosts, stderr)
	if err != nil {
		conn.Close()
		return nil, err
	}
	methods, done := authMethods(ctx, s, stderr)
	defer done()
	// Less than the package would take by default, which has SHA-1 among it.
	algorithms := ssh.SupportedAlgorithms()
	client, err := sshclass.Handshake(ctx, conn, addr, &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: algorithms.KeyExchanges, Ciphers: algorithms.Ciphers, MACs: algorithms.MACs},
		User:              s.user,
		Auth:              methods,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(addr),
		BannerCallback: func(message string) error {
			_, err := io.WriteString(stderr, plain(message))
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	say("logged in as %s to %s", s.user, plain(string(client.ServerVersion())))
	return client, nil
}
