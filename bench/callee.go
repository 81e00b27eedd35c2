package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// patience is how long one end waits for what the other must do.
const patience = 30 * time.Second

// A Callee is the far end of dials. While the clock runs it does nothing at all:
// the kernel makes the handshakes, and the connections wait in its queue.
type Callee struct{ listeners map[string]*net.TCPListener }

// Listen opens a listener and answers with its address.
func (c *Callee) Listen(address string, at *string) error {
	l, err := listenPlain(address)
	if err != nil {
		return err
	}
	if c.listeners == nil {
		c.listeners = map[string]*net.TCPListener{}
	}
	*at = l.Addr().String()
	c.listeners[*at] = l
	return nil
}

// A Queue is a listener and how many connections wait for it.
type Queue struct {
	Address string
	Waiting int
}

// Drain takes the connections out of the queue and resets them. The dialling side
// has closed, and the reset takes it out of FIN_WAIT_2: no port is left in
// TIME_WAIT, however many dials there are.
func (c *Callee) Drain(q Queue, _ *None) error {
	l, ok := c.listeners[q.Address]
	if !ok {
		return fmt.Errorf("no listener at %s", q.Address)
	}
	if err := giveUpAfter(l, patience); err != nil {
		return err
	}
	for range q.Waiting {
		conn, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		if err := reset(conn); err != nil {
			return err
		}
	}
	return nil
}

// listenPlain listens without Multipath TCP, Go's default: it is not what is
// measured, and costs the far end time.
func listenPlain(address string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// reset closes a connection so that neither end keeps its port.
func reset(c net.Conn) error {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		if err := l.SetLinger(0); err != nil {
			c.Close()
			return err
		}
	}
	return c.Close()
}
