package main

import (
	"fmt"
	"io"
	"net"
)

// What the far end of a copy is asked for with one octet.
const (
	give = 'g' // it sends a portion
	take = 't' // it takes a portion and answers with one octet
	ping = 'p' // it answers with one octet
)

// A Mover is the far end of copies.
type Mover struct{}

// A Portion says how much a Mover gives and takes at a time.
type Portion struct {
	Address string
	Octets  int64
}

// Serve starts to listen and answers with the address.
func (Mover) Serve(p Portion, at *string) error {
	l, err := listenPlain(p.Address)
	if err != nil {
		return err
	}
	*at = l.Addr().String()
	go serveEach(l, func(c net.Conn) { move(c, p.Octets) })
	return nil
}

// move gives and takes until the other side closes.
func move(c net.Conn, octets int64) error {
	defer c.Close()
	buf := make([]byte, min(octets, 1<<20))
	order := buf[:1]
	for {
		if _, err := io.ReadFull(c, order); err != nil {
			return err
		}
		switch order[0] {
		case give:
			for left := octets; left > 0; {
				n, err := c.Write(buf[:min(left, int64(len(buf)))])
				if err != nil {
					return err
				}
				left -= int64(n)
			}
		case take:
			for left := octets; left > 0; {
				n, err := c.Read(buf[:min(left, int64(len(buf)))])
				if err != nil {
					return err
				}
				left -= int64(n)
			}
			if _, err := c.Write(order); err != nil {
				return err
			}
		case ping:
			if _, err := c.Write(order); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown order %q", order)
		}
	}
}
