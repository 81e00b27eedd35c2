package main

import (
	"context"
	"io"

	"github.com/godscp/godscp/dscp"
)

// relay copies in both directions until both have ended. The end of stdin closes
// the write side of conn; the end of the server's data closes stdout. Each
// direction can continue after the other has ended.
func relay(ctx context.Context, conn *dscp.Conn, stdin io.Reader, stdout io.Writer) error {
	up, down := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, stdin)
		if err == nil {
			err = conn.CloseWrite()
		}
		up <- err
	}()
	go func() {
		_, err := io.Copy(stdout, conn)
		if c, ok := stdout.(io.Closer); ok && err == nil {
			err = c.Close()
		}
		down <- err
	}()
	for up != nil || down != nil {
		select {
		case err := <-up:
			if err != nil {
				return err
			}
			up = nil
		case err := <-down:
			if err != nil {
				return err
			}
			down = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
