// A client whose own hook marks both families, and whose listener has Multipath
// TCP switched off.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func mark(network, address string, c syscall.RawConn) error {
	var opErr error
	err := c.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0xb8)
		if opErr == nil && strings.HasSuffix(network, "6") {
			opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
		}
	})
	return errors.Join(err, opErr)
}

func main() {
	lc := net.ListenConfig{Control: mark}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", ":0")
	if err != nil {
		log.Fatal(err)
	}
	d := net.Dialer{Control: mark}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}
