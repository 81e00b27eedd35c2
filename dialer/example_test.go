//go:build !(js || plan9 || wasip1)

package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/godscp/godscp/dialer"
)

// The Control function of the caller's Dialer runs first, then the hooks.
func ExampleWith() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	mine := &net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		fmt.Println("mine:", network)
		return nil
	}}
	d := dialer.With(mine, func(ctx context.Context, network, address string, c syscall.RawConn) error {
		fmt.Println("hook:", network)
		return nil
	})
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.Close()
	// Output:
	// mine: tcp4
	// hook: tcp4
}

// A hook sets an option on the listening socket. The conns that it accepts inherit
// many options from it.
func ExampleWithListen() {
	lc := dialer.WithListen(nil, func(_ context.Context, network, address string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			fmt.Println("prepare", network, address) // call setsockopt with fd here
		})
	})
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	l.Close()
	// Output: prepare tcp4 127.0.0.1:0
}

// The error of a hook ends the dial. The caller gets it inside net's own error.
func ExampleHook() {
	errRefused := errors.New("no dial to this address")
	d := dialer.With(nil, func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if address != "192.0.2.1:22" {
			return errRefused
		}
		return nil
	})
	_, err := d.Dial("tcp", "127.0.0.1:22")
	fmt.Println(err)
	fmt.Println(errors.Is(err, errRefused))
	// Output:
	// dial tcp 127.0.0.1:22: no dial to this address
	// true
}
