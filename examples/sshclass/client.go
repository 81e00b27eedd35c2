package sshclass

import (
	"context"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
)

// A Client reaches one SSH server over up to two connections: one for
// interactive use and one for bulk. Each is made when it is first asked for, is
// marked from its SYN on, and never changes its mark. A program that needs a
// shell and a file transfer at once asks for both:
//
//	c := &sshclass.Client{Addr: "example.com:22", Config: config, IPQoS: dscp.OpenSSH78}
//	defer c.Close()
//	shell, err := c.Interactive(ctx) // then shell.NewSession()
//	files, err := c.Bulk(ctx)        // then sftp.NewClient(files)
//
// Set the fields before the first call and do not change them afterwards. All
// methods may be called from several goroutines at once.
type Client struct {
	// Addr is the server's host:port.
	Addr string

	// Config is used for both connections. Its Timeout limits how long each
	// may take to connect, as in [ssh.Dial]. A host key that its
	// HostKeyCallback has accepted is not asked about again, so that a person
	// confirms one only once; a second connection that shows another key is.
	Config *ssh.ClientConfig

	// IPQoS has the two marks. The zero value leaves both connections
	// unmarked, each pinned all the same.
	IPQoS dscp.IPQoS

	// Dialer makes the connections. Its DSCP is not used; NATSafe and the
	// others are.
	Dialer dscp.Dialer

	setUp       sync.Once
	life        context.Context // ends with Close
	end         context.CancelFunc
	interactive slot
	bulk        slot
	hostKey     acceptedKey
}

// Interactive returns the connection for sessions that a person waits for. It
// connects if there is none, or if the one there was has ended. The context is
// for connecting only.
func (c *Client) Interactive(ctx context.Context) (*ssh.Client, error) {
	c.setUp.Do(c.init)
	return c.get(ctx, &c.interactive, c.IPQoS.Interactive)
}

// Bulk is as Interactive, for everything else.
func (c *Client) Bulk(ctx context.Context) (*ssh.Client, error) {
	c.setUp.Do(c.init)
	return c.get(ctx, &c.bulk, c.IPQoS.Bulk)
}

// Close closes the connections and ends those that are being made. When it
// returns, nothing of c is left running. It may be called more than once; after
// it, Interactive and Bulk return an error that matches [net.ErrClosed].
func (c *Client) Close() error {
	c.setUp.Do(c.init)
	c.end()
	c.interactive.close()
	c.bulk.close()
	return nil
}

func (c *Client) init() {
	c.life, c.end = context.WithCancel(context.Background())
	c.interactive.turn = make(chan struct{}, 1)
	c.bulk.turn = make(chan struct{}, 1)
}

// get returns the connection in s, made anew if need be. Whoever comes while
// another is connecting waits for its turn.
func (c *Client) get(ctx context.Context, s *slot, cp dscp.CodePoint) (*ssh.Client, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()

	client, err := s.get(ctx, func() (*ssh.Client, error) { return c.dial(ctx, cp) })
	if c.life.Err() != nil {
		return nil, fmt.Errorf("ssh to %s: %w", c.Addr, net.ErrClosed)
	}
	return client, err
}

// dial runs in a slot's turn, and Close waits for that turn: what is made here
// before Close gets closed by it, and afterwards nothing is made.
func (c *Client) dial(ctx context.Context, cp dscp.CodePoint) (*ssh.Client, error) {
	if err := c.life.Err(); err != nil {
		return nil, err
	}
	d := c.Dialer
	d.DSCP = cp
	conn, err := dialWithin(ctx, &d, c.Addr, c.Config)
	if err != nil {
		return nil, err
	}
	config := *c.Config
	if config.HostKeyCallback != nil { // without one, x/crypto/ssh has the right error
		config.HostKeyCallback = c.hostKey.once(config.HostKeyCallback)
	}
	return Handshake(ctx, conn, c.Addr, &config)
}

func dialWithin(ctx context.Context, d *dscp.Dialer, addr string, config *ssh.ClientConfig) (net.Conn, error) {
	if config.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, config.Timeout)
		defer cancel()
	}
	return d.DialContext(ctx, "tcp", addr)
}
