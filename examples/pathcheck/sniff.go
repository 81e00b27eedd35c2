package main

import (
	"bytes"
	"context"
	"net"
	"time"
)

// sniff returns the scheme for a server on an unknown port: ssh if the server sends an
// SSH version first, else wait.
func sniff(ctx context.Context, address string, timeout time.Duration) (scheme string) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return quiet // the trials report the error
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return quiet
	}
	hello := make([]byte, 4)
	n, _ := c.Read(hello)
	if bytes.HasPrefix([]byte("SSH-"), hello[:n]) && n > 0 {
		return ssh2
	}
	return quiet
}
