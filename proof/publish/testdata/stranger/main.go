// A program that has nothing of this repository but its published modules.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/godscp/godscp/dscp"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// run prints the marks that both ends of a connection hold.
func run(ctx context.Context) error {
	lc := dscp.ListenConfig{DSCP: dscp.AF21}
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	d := dscp.Dialer{DSCP: dscp.AF21}
	client, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Println(client.(*dscp.Conn).DSCP(), server.(*dscp.Conn).DSCP())
	return nil
}
