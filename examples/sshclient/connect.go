package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

// A connection is an SSH client and the jump host's connection that carries it.
type connection struct {
	*ssh.Client
	below io.Closer // the connection to the last jump; nil without jumps
}

// Close closes the client and the connection that carries it.
func (c *connection) Close() error {
	err := c.Client.Close()
	if c.below != nil {
		err = errors.Join(err, c.below.Close())
	}
	return err
}

// A connector makes the connection of one session, or of one of its jumps.
type connector struct {
	options
	settings
	interactive bool // the class of the session, also for its jumps
	stderr      io.Writer
}

// connect dials with the mark of the session's class, and logs in.
func connect(ctx context.Context, o options, s settings, interactive bool, stderr io.Writer) (*connection, error) {
	c := &connector{o, s, interactive, stderr}
	for _, note := range s.notes {
		c.warn("%s", note)
	}
	if len(s.quiet) > 0 {
		c.say("not supported, and ignored: %s", strings.Join(s.quiet, ", "))
	}
	conn, below, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	client, err := c.logIn(ctx, conn)
	if err != nil {
		conn.Close()
		if below != nil {
			below.Close()
		}
		return nil, err
	}
	c.say("logged in as %s to %s", s.user, plain(string(client.ServerVersion())))
	return &connection{client, below}, nil
}

func (c *connector) warn(format string, args ...any) {
	fmt.Fprintln(c.stderr, "sshclient:", plain(fmt.Sprintf(format, args...)))
}

func (c *connector) say(format string, args ...any) {
	if c.verbose {
		c.warn(format, args...)
	}
}

// addr returns the address to connect to.
func (c *connector) addr() string { return net.JoinHostPort(c.hostName, c.port) }

// dial connects, directly or through a jump host or ProxyCommand. below is the
// connection to the jump host.
func (c *connector) dial(ctx context.Context) (conn net.Conn, below io.Closer, err error) {
	switch {
	case len(c.jumps) > 0:
		return c.jump(ctx)
	case c.proxyCommand != "":
		conn, err = c.throughCommand(ctx)
		return conn, nil, err
	}
	class, d := "bulk", dscp.Dialer{DSCP: c.ipqos.Bulk, NATSafe: c.natSafe, NetDialer: &net.Dialer{Timeout: c.timeout}}
	if c.interactive {
		d.DSCP, class = c.ipqos.Interactive, "interactive"
	}
	if c.bind != "" {
		ip, err := net.ResolveIPAddr("ip", c.bind)
		if err != nil {
			return nil, nil, err
		}
		d.NetDialer.LocalAddr = &net.TCPAddr{IP: ip.IP, Zone: ip.Zone}
	}
	c.say("connecting to %s, %s", c.addr(), class)
	if conn, err = d.DialContext(ctx, c.network, c.addr()); err != nil {
		return nil, nil, err
	}
	pinned, _ := dscp.Of(conn)
	c.say("connected to %v from %v, marked %v", conn.RemoteAddr(), conn.LocalAddr(), pinned.DSCP())
	return conn, nil, nil
}

// mostJumps limits the jumps of a session, since a jump can have a ProxyJump, too.
const mostJumps = 8

// jump connects through the last of the jumps, which it reaches through the others.
func (c *connector) jump(ctx context.Context) (net.Conn, io.Closer, error) {
	last := len(c.jumps) - 1
	hop := c.jumps[last].options(c.options, c.jumps[:last])
	if hop.through > mostJumps {
		return nil, nil, fmt.Errorf("ProxyJump: more than %d jumps", mostJumps)
	}
	set, err := loadSettings(ctx, hop)
	if err != nil {
		return nil, nil, err
	}
	if set.hostName == c.hostName && set.port == c.port {
		return nil, nil, fmt.Errorf("ProxyJump: %s is its own jump host", c.addr())
	}
	via, err := connect(ctx, hop, set, c.interactive, c.stderr)
	if err != nil {
		return nil, nil, err
	}
	conn, err := via.DialContext(ctx, "tcp", c.addr())
	if err != nil {
		via.Close()
		return nil, nil, fmt.Errorf("%s cannot connect to %s: %w", c.jumps[last], c.addr(), err)
	}
	c.say("connected to %s through %s", c.addr(), c.jumps[last])
	return conn, via, nil
}

// logIn checks the host key and logs in.
func (c *connector) logIn(ctx context.Context, conn net.Conn) (*ssh.Client, error) {
	keys, err := newHostKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	a := newAuthenticator(ctx, c, keys)
	defer a.close()
	// The defaults of package ssh include SHA-1.
	algorithms := ssh.SupportedAlgorithms()
	client, err := sshclass.Handshake(ctx, conn, c.addr(), &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: algorithms.KeyExchanges, Ciphers: algorithms.Ciphers, MACs: algorithms.MACs},
		User:              c.user,
		Auth:              a.methods(),
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		BannerCallback: func(message string) error {
			_, err := io.WriteString(c.stderr, plain(message))
			return err
		},
	})
	return client, a.explain(err)
}
