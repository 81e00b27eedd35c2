// A client that marks with package dscp.
package main

import (
	"context"
	"log"

	"github.com/godscp/godscp/dscp"
)

func main() {
	d := dscp.Dialer{DSCP: dscp.AF21}
	c, err := d.DialContext(context.Background(), "tcp", "example.com:22")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}
