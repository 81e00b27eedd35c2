// A program that measures what a path does to a connection whose mark changes.
package main

import (
	"log"
	"net"

	"golang.org/x/net/ipv4"
)

func main() {
	c, err := net.Dial("tcp4", "192.0.2.1:80")
	if err != nil {
		log.Fatal(err)
	}
	//nolint:dscpvet // the change is what is measured
	if err := ipv4.NewConn(c).SetTOS(0x48); err != nil {
		log.Fatal(err)
	}
}
