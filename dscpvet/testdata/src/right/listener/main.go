// A server that marks with package dscp.
package main

import (
	"context"
	"log"

	"github.com/godscp/godscp/dscp"
)

func main() {
	lc := dscp.ListenConfig{DSCP: dscp.FromTOS(0xb8)}
	l, err := lc.Listen(context.Background(), "tcp", ":22")
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		c.Close()
	}
}
