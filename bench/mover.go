package main

import (
	"fmt"
	"io"
	"net"
)

// The orders that the far end of a copy takes, each of one byte.
const (
	give = 'g' // send a portion
	take = 't' // read a portion and answer with one byte
	ping = 'p' // answer with one byte
)

// A Mover is the far end of copies.
type Mover struct{}

// A Portion configures a Mover: its address and the bytes of one portion.
type Portion struct {
	Address string
	Bytes   int64
}

// Serve starts to listen and returns the address.
func (Mover) Serve(p Portion, at *string) error {
	l, err := listenPlain(p.Address)
	if err != nil {
		return err
	}
	*at = l.Addr().String()
	go serveEach(l, func(c net.Conn) { move(c, p.Bytes) })
	return nil
}

// move carries out orders until the other side closes.
func move(c net.Conn, portion int64) error {
	defer c.Close()
	buf := make([]byte, min(portion, 1<<20))
	order := buf[:1]
	for {
		if _, err := io.ReadFull(c, order); err != nil {
			return err
		}
		switch order[0] {
		case give:
			for left := portion; left > 0; {
				n, err := c.Write(buf[:min(left, int64(len(buf)))])
				if err != nil {
					return err
				}
				left -= int64(n)
			}
		case take:
			for left := portion; left > 0; {
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
