package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// changeMark changes the mark of a live connection past the guard, and the box has
// to end the connection.
func changeMark(w *worker) (err error) {
	b, err := w.where(func(s *setup) bool { return s.resets || s.dark })
	if b == nil || err != nil {
		return err
	}
	defer b.done(&err)
	d, mark := w.dialerTo(b)
	c, err := w.dial(d, b.address())
	if err != nil {
		return err
	}
	if b.dark {
		b.keep(c)
	} else {
		defer c.Close()
	}
	b.visited(c, visit{ended: true})
	x := w.exchange()
	x.client.out = part{w.payload, w.rng.IntN(payloadSize / 2), 1 + w.rng.IntN(20_000)}
	x.server.in, x.server.answers = x.client.out, true
	if b.dark {
		x.client.within, x.server.within = 200*time.Millisecond, time.Second
		x.client.lingers = true
	}
	if err := w.begin(c, x); err != nil {
		return err
	}
	next := w.mark()
	for next.Precedence() == mark.Precedence() {
		next = w.mark()
	}
	change := ipv6.NewConn(c.TCPConn).SetTrafficClass
	if sendsIPv4(c) {
		change = ipv4.NewConn(c.TCPConn).SetTOS
	}
	if err := change(int(next.TOS())); err != nil {
		return err
	}
	if err := c.Verify(); !errors.Is(err, dscp.ErrMidFlow) {
		return fmt.Errorf("the change from %v to %v was not reported by Verify: %v", mark, next, err)
	}
	client, server := w.carryOut(c, x)
	// The error that a client gets after a reset depends on what it does at the
	// time, and if it was slow, the server may have given up before. The box's
	// record is exact.
	what, kinds, late := "changed mark, reset", torn, torn
	if b.dark {
		what, kinds, late = "changed mark, silence", []kind{timeout}, []kind{timeout, short}
	}
	err = errors.Join(
		w.tally.may(what+", client sends", client.send, late...),
		w.tally.may(what+", client receives", client.receive, late...),
		w.tally.must(what+", server receives", server.receive, kinds...),
		w.tally.may(what+", server sends", server.send, kinds...),
	)
	if err != nil {
		err = fmt.Errorf("from %v to %v: %w", mark, next, err)
	}
	return err
}

// abort resets a connection from one end.
func abort(w *worker) (err error) {
	s := one(w, w.servers)
	address, relayed := s.address(), s.relayTo != nil
	var b *box
	if w.chance(2) {
		if b, err = one(w, w.places).enter(w); err != nil {
			return err
		}
		defer b.done(&err)
		address, relayed = b.address(), true
	}
	d, _ := w.dialerTo(b)
	c, err := w.dial(d, address)
	if err != nil {
		return err
	}
	defer c.Close()
	x := w.exchange()
	x.server.answers = false
	byClient := w.chance(2)
	x.client.abort, x.server.abort = byClient, !byClient
	if err := w.begin(c, x); err != nil {
		if !byClient { // the server may reset first
			err = w.tally.may("abort, begin", err, torn...)
		}
		return err
	}
	client, server := w.carryOut(c, x)
	mine, theirs := client, server
	if !byClient {
		mine, theirs = server, client
	}
	own := append([]kind{closed}, torn...)
	if !relayed {
		err = w.tally.must("abort, other", errors.Join(theirs.send, theirs.receive), torn...)
	} // else the other end may have received everything before the reset
	return errors.Join(
		err,
		w.tally.may("abort, own", mine.send, own...),
		w.tally.may("abort, own", mine.receive, own...),
		w.tally.may("abort, other sends", theirs.send, torn...),
		w.tally.may("abort, other receives", theirs.receive, torn...),
	)
}

// closeBox closes a box while it carries an exchange.
func closeBox(w *worker) (err error) {
	b, err := w.start(one(w, setups))
	if err != nil {
		return err
	}
	d, mark := w.dialerTo(b)
	c, err := w.dial(d, b.address())
	if err != nil {
		return errors.Join(err, b.leave())
	}
	defer c.Close()
	if c.DSCP() != mark {
		err = fmt.Errorf("the connection is marked %v instead of %v", c.DSCP(), mark)
	}
	after := w.between(0, 8*time.Millisecond)
	var closing sync.WaitGroup
	var boxErr error
	closing.Go(func() {
		time.Sleep(after)
		boxErr = b.leave()
	})
	x := w.exchange()
	if began := w.begin(c, x); began != nil {
		err = errors.Join(err, w.tally.may("box closed, begin", began, torn...))
	} else {
		client, server := w.carryOut(c, x)
		for _, e := range []error{client.send, client.receive, server.send, server.receive} {
			err = errors.Join(err, w.tally.may("box closed", e, torn...))
		}
	}
	closing.Wait()
	return errors.Join(err, boxErr)
}
