//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
)

// loginTime is how long a client may take to log in, as OpenSSH's LoginGraceTime.
const loginTime = 2 * time.Minute

// mostStartups limits the connections that have not logged in, as OpenSSH's
// MaxStartups does. Each costs the server a descriptor and a goroutine.
const mostStartups = 100

type server struct {
	config      *ssh.ServerConfig
	startups    chan struct{} // has a value for each connection that has not logged in
	fingerprint string        // of the host key
	account     account
	log         *slog.Logger
}

func newServer(o options, log *slog.Logger) (*server, error) {
	hostKey, err := loadHostKey(o.hostKey)
	if err != nil {
		return nil, err
	}
	if _, err := readAuthorizedKeys(o.authorizedKeys); err != nil {
		return nil, fmt.Errorf("no client could log in: %w", err)
	}
	// The defaults of package ssh include SHA-1 and DSA.
	algorithms := ssh.SupportedAlgorithms()
	config := &ssh.ServerConfig{
		Config:                  ssh.Config{KeyExchanges: algorithms.KeyExchanges, Ciphers: algorithms.Ciphers, MACs: algorithms.MACs},
		PublicKeyAuthAlgorithms: algorithms.PublicKeyAuths,
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if err := authorize(o.authorizedKeys, key); err != nil {
				return nil, err
			}
			return &ssh.Permissions{Extensions: map[string]string{"key": ssh.FingerprintSHA256(key)}}, nil
		},
	}
	config.AddHostKey(hostKey)
	return &server{
		config:      config,
		startups:    make(chan struct{}, mostStartups),
		fingerprint: ssh.FingerprintSHA256(hostKey.PublicKey()),
		account:     currentAccount(),
		log:         log,
	}, nil
}

// serve serves the connections of l until ctx ends. Then it closes l and all
// connections, and waits for their sessions to end.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			s.log.Error("accept", "err", err) // for example, too many open files
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			select {
			case s.startups <- struct{}{}:
				conns.Go(func() { s.handle(ctx, c) })
			default:
				s.log.Info("closed: too many connections have not logged in", "peer", c.RemoteAddr().String())
				c.Close()
			}
		}
	}
}

// handle serves one connection. It takes the connection's value from s.startups when the
// login has succeeded or failed.
func (s *server) handle(ctx context.Context, c net.Conn) {
	log := s.log.With("peer", c.RemoteAddr().String())
	logMarks(log, c)
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()

	c.SetDeadline(time.Now().Add(loginTime))
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	<-s.startups
	if err != nil {
		log.Info("login failed", "err", err)
		return
	}
	c.SetDeadline(time.Time{})
	log.Info("login", "user", conn.User(), "key", conn.Permissions.Extensions["key"])

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		if ch.ChannelType() != "session" {
			ch.Reject(ssh.UnknownChannelType, "sshserver supports only sessions")
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			continue // the connection has ended
		}
		running.Go(func() {
			newSession(s, log, c, channel, &running).serve(ctx, requests)
		})
	}
	cancel()
	running.Wait()
	log.Info("closed")
}

// logMarks logs the marks of both ends.
func logMarks(log *slog.Logger, c net.Conn) {
	pinned, ok := dscp.Of(c)
	if !ok {
		return // not from a dscp.Listener
	}
	theirs := "unknown"
	if cp, ok := pinned.PeerDSCP(); ok {
		theirs = cp.String()
	}
	log.Info("connection", "theirs", theirs, "ours", pinned.DSCP().String())
}
