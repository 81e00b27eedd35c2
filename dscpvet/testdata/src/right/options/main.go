// A server that tunes accepted connections with options that are no marks.
package main

import (
	"log"
	"net"

	"golang.org/x/sys/unix"
	"lib"
)

func tune(c *net.TCPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if err := lib.SetOption(rc, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	return lib.SetOption(rc, unix.IPPROTO_IP, unix.IP_TTL, 64)
}

func main() {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: 80})
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			log.Fatal(err)
		}
		if err := tune(c); err != nil {
			log.Print(err)
		}
	}
}
