package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// patience is how long one end waits for the other.
const patience = 30 * time.Second

// A Callee is the far end of dials. It does nothing while the clock runs: the kernel makes
// the handshakes, and the connections wait in the backlog.
type Callee struct{ listeners map[string]*net.TCPListener }

// Listen opens a listener and returns its address.
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

// A Queue is the address of a listener and the number of connections in its backlog.
type Queue struct {
	Address string
	Waiting int
}

// Drain accepts the connections and resets them. The dialling side has closed them and is
// in FIN_WAIT_2, which the reset ends, so that no port is left in TIME_WAIT.
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

// listenPlain listens without Multipath TCP, which is Go's default, because it costs the
// far end time and is not measured.
func listenPlain(address string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// reset closes a connection with a reset, so that neither end keeps its port.
func reset(c net.Conn) error {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		if err := l.SetLinger(0); err != nil {
			c.Close()
			return err
		}
	}
	return c.Close()
}
