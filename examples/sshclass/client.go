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
// interactive use and one for bulk. The Client makes each on first use, marks it
// from the SYN on, and never changes its mark. A program that needs a shell and a
// file transfer at the same time uses both:
//
//	c := &sshclass.Client{Addr: "example.com:22", Config: config, IPQoS: dscp.OpenSSH78}
//	defer c.Close()
//	shell, err := c.Interactive(ctx) // then shell.NewSession()
//	files, err := c.Bulk(ctx)        // then sftp.NewClient(files)
//
// Set the fields before the first call and do not change them afterwards. The
// methods are safe for concurrent use.
type Client struct {
	// Addr is the server's host:port.
	Addr string

	// Config is for both connections. Its Timeout limits the time to connect, as
	// in [ssh.Dial]. The Client does not call its HostKeyCallback again for the
	// host key that the callback accepted last, so that a user confirms a key only
	// once.
	Config *ssh.ClientConfig

	// IPQoS has the two marks. With the zero value both connections have DF, and
	// both are pinned.
	IPQoS dscp.IPQoS

	// Dialer makes the connections. The Client ignores its DSCP and uses the
	// other fields.
	Dialer dscp.Dialer

	setUp       sync.Once
	life        context.Context // ends with Close
	end         context.CancelFunc
	interactive slot
	bulk        slot
	hostKey     acceptedKey
}

// Interactive returns the connection for interactive sessions. It connects if
// there is none or if the last one has ended. ctx applies only to connecting.
func (c *Client) Interactive(ctx context.Context) (*ssh.Client, error) {
	c.setUp.Do(c.init)
	return c.get(ctx, &c.interactive, c.IPQoS.Interactive)
}

// Bulk is like Interactive, for the connection for bulk.
func (c *Client) Bulk(ctx context.Context) (*ssh.Client, error) {
	c.setUp.Do(c.init)
	return c.get(ctx, &c.bulk, c.IPQoS.Bulk)
}

// Close closes the connections and cancels attempts to connect. It returns when all
// goroutines of c have ended. It may be called more than once. After Close,
// Interactive and Bulk return an error that matches [net.ErrClosed].
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

// get returns the connection in s, or makes one. Concurrent calls wait for the one
// that connects.
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

// dial runs while get holds the slot's turn, for which Close waits. So Close closes
// a connection that dial made before, and after Close dial makes none.
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
	if config.HostKeyCallback != nil { // if nil, x/crypto/ssh returns an error
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
