package sshclass

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
)

// Handshake performs the SSH handshake on conn, a connection to addr, and returns
// the client. addr is the name that config.HostKeyCallback gets. If Handshake fails,
// it closes conn.
//
// If ctx ends during the handshake, Handshake closes conn, since nothing else
// interrupts x/crypto/ssh, waits for a running callback of config, and returns an
// error that matches ctx.Err. After Handshake has returned a client, ctx has no
// effect on it.
//
// For a deadline, use ctx. A deadline that conn.SetDeadline sets would also apply
// after the handshake.
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
