package main

import (
	"bytes"
	"context"
	"net"
	"time"
)

// sniff finds out what a server on an unknown port speaks: SSH servers speak
// first. All others are only looked at.
func sniff(ctx context.Context, address string, timeout time.Duration) (scheme string) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return quiet // the trials will tell
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
