package sshclass

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
)

// Handshake makes an SSH client of conn, a connection to addr, which is the
// name that config.HostKeyCallback gets. It closes conn if it fails.
//
// When ctx ends before the handshake, Handshake closes conn, for x/crypto/ssh
// has no other way to be interrupted, and returns an error that matches ctx's. A
// callback of config that is running then is waited for. Once Handshake has
// returned a client, ctx has no influence on it.
//
// For a deadline use a context, not conn.SetDeadline, which would stay.
func Handshake(ctx context.Context, conn net.Conn, addr string, config *ssh.ClientConfig) (*ssh.Client, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, addr, config)
	interrupted := !stop()
	if err == nil {
		client := ssh.NewClient(c, channels, requests)
		if !interrupted {
			return client, nil
		}
		client.Close()
	}
	conn.Close()
	if interrupted {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("ssh handshake with %s: %w", addr, err)
}
