// Package nobody reserves addresses that refuse connections.
//
// The address of a closed listener is not enough: its port is free, and the kernel may
// give it to the next listener of this process or another.
package nobody

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// patience is how long a child process may take to execute its program.
const patience = 20 * time.Second

// An Address refuses connections until it is closed.
type Address struct {
	// An accepted connection is bound to the port, so the kernel gives the port to
	// no other socket.
	client, server net.Conn
}

// Open reserves an address, for example a port of "127.0.0.1:0".
func Open(address string) (*Address, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	server, err := l.Accept()
	if err = errors.Join(err, l.Close()); err != nil {
		if server != nil {
			err = errors.Join(err, server.Close())
		}
		return nil, errors.Join(err, client.Close())
	}
	// A child process that another goroutine is starting has a copy of the listener
	// until it executes its program. Until then the listener accepts.
	a := &Address{client, server}
	for begin := time.Now(); time.Since(begin) < patience; {
		probe, err := net.Dial("tcp", a.String())
		if err != nil {
			return a, nil
		}
		probe.Close()
	}
	return nil, errors.Join(fmt.Errorf("%v still accepts connections after %v", a, patience), a.Close())
}

func (a *Address) String() string { return a.server.LocalAddr().String() }

// Close releases the port.
func (a *Address) Close() error {
	return errors.Join(a.client.Close(), a.server.Close())
}

// Listens returns an address that refuses connections until the test ends.
func Listens(tb testing.TB, address string) string {
	tb.Helper()
	a, err := Open(address)
	if err != nil {
		tb.Fatalf("nobody: %v", err)
	}
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Errorf("nobody: %v", err)
		}
	})
	return a.String()
}
