package main

import (
	"bytes"
	"io"
	"net"

	"github.com/godscp/godscp/dscp"
)

// A sending is a way to write a part to a connection.
type sending func(c *dscp.Conn, p part) error

var sendings = []sending{write, copyIn, sendfile, gather, dribble}

// write is one call.
func write(c *dscp.Conn, p part) error {
	_, err := c.Write(p.octets())
	return err
}

// copyIn is io.Copy from a source that has only Read.
func copyIn(c *dscp.Conn, p part) error {
	_, err := io.Copy(c, struct{ io.Reader }{bytes.NewReader(p.octets())})
	return err
}

// sendfile is io.Copy from a file.
func sendfile(c *dscp.Conn, p part) error {
	from, file, err := p.open()
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(c, from)
	return err
}

// gather is writev.
func gather(c *dscp.Conn, p part) error {
	var pieces net.Buffers
	for rest := p.octets(); len(rest) > 0; {
		n := min(len(rest), 1+len(rest)/3)
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	_, err := pieces.WriteTo(c)
	return err
}

// dribble is many small calls.
func dribble(c *dscp.Conn, p part) error {
	for rest := p.octets(); len(rest) > 0; {
		n := min(len(rest), 1+p.size/100)
		if _, err := c.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// A receiving is a way to read a connection to its end.
type receiving func(w io.Writer, c *dscp.Conn) error

var receivings = []receiving{copyOut, readSmall}

func copyOut(w io.Writer, c *dscp.Conn) error {
	_, err := io.Copy(w, c)
	return err
}

func readSmall(w io.Writer, c *dscp.Conn) error {
	_, err := io.CopyBuffer(w, struct{ io.Reader }{c}, make([]byte, 700))
	return err
}
