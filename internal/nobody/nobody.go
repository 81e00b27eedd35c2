// Package nobody gives addresses where nobody listens.
//
// The address of a closed listener is no such address: its port is free, and
// the next to listen, in this process or another, may be given it.
package nobody

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// patience is how long a child may take to begin.
const patience = 20 * time.Second

// An Address refuses connections until it is closed.
type Address struct {
	// A connection that was accepted on it keeps the port from all others:
	// they are given one that no socket is bound to.
	client, server net.Conn
}

// Open takes a port of a local address, such as "127.0.0.1:0".
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
	// A child that another goroutine is starting has a copy of the listener until
	// it executes its program, and with that the listener lives on.
	a := &Address{client, server}
	for begin := time.Now(); time.Since(begin) < patience; {
		probe, err := net.Dial("tcp", a.String())
		if err != nil {
			return a, nil
		}
		probe.Close()
	}
	return nil, errors.Join(fmt.Errorf("%v: somebody goes on listening", a), a.Close())
}

func (a *Address) String() string { return a.server.LocalAddr().String() }

// Close gives the port back.
func (a *Address) Close() error {
	return errors.Join(a.client.Close(), a.server.Close())
}

// Listens is [Open] for as long as a test runs.
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
