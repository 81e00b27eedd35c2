// Package write marks a socket for each write.
package write

import (
	"net"

	"lib"
)

type conn struct{ *net.UDPConn }

func (c conn) WriteTOS(b []byte, tos int) error { // want WriteTOS:`sets IP_TOS and IPV6_TCLASS on parameter 0 from parameter 2`
	if err := lib.Mark(c.UDPConn, tos); err != nil { // want `^write: Mark`
		return err
	}
	_, err := c.Write(b)
	return err
}

func probe(host string) error {
	c, err := net.Dial("udp", host)
	if err != nil {
		return err
	}
	for tos := range 64 {
		if err := lib.Mark(c, tos<<2); err != nil { // want `^write: Mark`
			return err
		}
	}
	return nil
}

func right(hosts []string) error {
	for _, h := range hosts {
		c, err := net.Dial("udp", h)
		if err != nil {
			return err
		}
		if err := lib.Mark(c, 0xb8); err != nil {
			return err
		}
	}
	return nil
}
