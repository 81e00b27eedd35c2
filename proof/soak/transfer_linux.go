package main

import (
	"fmt"
	"time"

	"github.com/godscp/godscp/dscp"
)

// transfer carries out an exchange with a server.
func transfer(w *worker) error {
	s := one(w, w.servers)
	d, mark := w.dialer()
	c, err := w.dial(d, s.address())
	if err != nil {
		return err
	}
	defer c.Close()
	x := w.besieged(w.exchange(), loose)
	server, err := w.complete(c, x, mark)
	if err == nil && s.relayTo == nil && (!server.peerKnown || server.peer != mark) {
		err = fmt.Errorf("the SYN arrived with %v (%v) instead of %v", server.peer, server.peerKnown, mark)
	}
	return err
}

// besieged has one or both ends of some exchanges attacked.
func (w *worker) besieged(x *exchange, routes []route) *exchange {
	for _, e := range []*end{&x.client, &x.server} {
		if w.chance(3) {
			e.siege = w.lays(routes)
		}
	}
	return x
}

// transferThroughBox carries out an exchange that the box must pass: it has one mark
// from the SYN on, or the box ignores changes.
func transferThroughBox(w *worker) (err error) {
	b, err := one(w, w.places).enter(w)
	if err != nil {
		return err
	}
	defer b.done(&err)
	d, mark := w.dialerTo(b)
	return w.through(b, d, mark)
}

// through carries out an exchange through b with this mark.
func (w *worker) through(b *box, d *dscp.Dialer, mark dscp.CodePoint) error {
	c, err := w.dial(d, b.address())
	if err != nil {
		return err
	}
	defer c.Close()
	routes := tight
	if !b.judges {
		routes = loose
	}
	b.visited(c, visit{leaks: !b.judges})
	_, err = w.complete(c, w.besieged(w.exchange(), routes), mark)
	return err
}

// deadline lets deadlines pass, and uses the connection after that.
func deadline(w *worker) error {
	d, mark := w.dialer()
	c, err := w.dial(d, one(w, w.servers).address())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(w.between(0, 10*time.Millisecond))) //nolint:errcheck // the read tells
	_, err = c.Read(make([]byte, 1))
	if err := w.tally.must("deadline, read", err, timeout); err != nil {
		return err
	}
	c.SetWriteDeadline(time.Now().Add(-time.Second)) //nolint:errcheck // the write tells
	_, err = c.Write([]byte{1})
	if err := w.tally.must("deadline, write", err, timeout); err != nil {
		return err
	}
	_, err = w.complete(c, w.exchange(), mark)
	return err
}
