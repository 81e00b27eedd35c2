package main

import (
	"errors"
	"io"
	"net"
	"os"
)

// wires are two connections to a Mover.
type wires struct {
	in, out net.Conn
	portion int64 // bytes
	buf     []byte
	file    *os.File // of one portion
}

// bare returns w without the pins, on the same sockets, so that the kernel's state of the
// connections is the same for both.
func (w wires) bare() wires {
	w.in, w.out = netConn(w.in), netConn(w.out)
	return w
}

// copies are the ways to move a portion.
var copies = []struct {
	name string
	move func(w wires) error
}{
	{"`Write`", func(w wires) error {
		return w.send(func() error {
			for left := w.portion; left > 0; {
				n, err := w.out.Write(w.buf[:min(left, int64(len(w.buf)))])
				if err != nil {
					return err
				}
				left -= int64(n)
			}
			return nil
		})
	}},
	{"`Read`", func(w wires) error {
		return w.receive(func() error {
			for left := w.portion; left > 0; {
				n, err := w.in.Read(w.buf[:min(left, int64(len(w.buf)))])
				if err != nil {
					return err
				}
				left -= int64(n)
			}
			return nil
		})
	}},
	{"`io.Copy(conn, reader)`", func(w wires) error {
		return w.send(func() error {
			_, err := io.Copy(w.out, &zeros{w.portion})
			return err
		})
	}},
	{"`io.Copy(writer, conn)`", func(w wires) error {
		return w.receive(func() error {
			_, err := io.Copy(&counter{w.portion}, w.in)
			if errors.Is(err, errFull) {
				return nil
			}
			return err
		})
	}},
	{"`io.Copy(conn, file)`", func(w wires) error {
		return w.send(func() error {
			if _, err := w.file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			_, err := io.Copy(w.out, w.file)
			return err
		})
	}},
	{"`io.CopyN(conn, conn, n)`", func(w wires) error {
		return w.send(func() error {
			return w.receive(func() error {
				_, err := io.CopyN(w.out, w.in, w.portion)
				return err
			})
		})
	}},
}

// send makes the far end read what f writes, and waits until it has read it all.
func (w wires) send(f func() error) error {
	if _, err := w.out.Write([]byte{take}); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := io.ReadFull(w.out, make([]byte, 1))
	return err
}

// receive makes the far end write what f reads.
func (w wires) receive(f func() error) error {
	if _, err := w.in.Write([]byte{give}); err != nil {
		return err
	}
	return f()
}

// zeros is a reader of left bytes without further methods.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(z.left, int64(len(p)))
	z.left -= n
	return int(n), nil
}

// errFull ends a copy from a connection that stays open.
var errFull = errors.New("counter is full")

// counter is a writer that takes left bytes, without further methods.
type counter struct{ left int64 }

func (c *counter) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left <= 0 {
		return len(p), errFull
	}
	return len(p), nil
}
