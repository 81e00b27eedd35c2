//go:build !(js || plan9 || wasip1)

package dialer_test

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"github.com/godscp/godscp/dialer"
)

// The caller's own Control function keeps its place: it runs first.
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
