package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
)

// An outcome is what became of a strategy.
type outcome string

const (
	works   outcome = "works"   // the work was done
	broken  outcome = "broken"  // the connection died or hung
	refused outcome = "refused" // the change of the mark was refused, and the work was done
	skipped outcome = "skipped" // could not be tried

	anything outcome = "" // as an expectation: there is none
)

// A result is what the program saw of a strategy.
type result struct {
	outcome outcome
	said    string // in the program's own words
	err     error  // why it is broken, if an error of Go's tells

	// What the client's own socket was set to when it came up and at the end:
	// all that is known of the marks without a box.
	first, last mark
}

// A place is where a strategy runs: which address to dial, and what to know
// of the server there.
type place struct {
	network string // tcp, tcp4 or tcp6
	addr    string
	host    string     // what an HTTP request calls the server
	keys    *keyring   // of the SSH server, where it is one
	logins  func() int // how many logins the SSH server has seen

	// For the ssh command: whom to log in as, and what makes the server send flood.
	user, command string
}

// A moment in the life of a connection.
type moment int

const (
	never     moment = iota
	connected        // connect has returned, nothing has been sent
	loggedIn         // SSH: authenticated, no channel open yet
	midway           // some of the work is done, most is to come
)

type (
	dialFunc   = func(ctx context.Context, network, address string) (net.Conn, error)
	listenFunc = func(ctx context.Context, network, address string) (net.Listener, error)

	// work is what a program does with a connection. It calls at whenever a
	// moment has come, gives up if that fails, and says how it went.
	work = func(c net.Conn, p place, at func(moment) error) (string, error)
)

// A client connects, works, and at one moment may change its mark.
type client struct {
	dial   dialFunc
	change func(net.Conn) error
	at     moment
	work   work
}

var errNotPinned = errors.New("the connection is not pinned")

// run is the life of one connection, up to its end or that of ctx.
func (cl client) run(ctx context.Context, p place) result {
	c, err := cl.dial(ctx, p.network, p.addr)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // long ago: ends whatever c is doing
	})
	defer stop()

	var refusal error
	at := func(m moment) error {
		if m != cl.at || cl.change == nil {
			return nil
		}
		err := cl.change(c)
		if errors.Is(err, dscp.ErrMidFlow) {
			refusal = err
			return nil // whoever refuses lets the flow live
		}
		return err
	}
	first := markOf(c)
	r := result{outcome: works}
	if err = at(connected); err == nil {
		r.said, err = cl.work(c, p, at)
	}
	switch {
	case err != nil:
		r = failed(err)
	case refusal != nil:
		r.outcome, r.said = refused, fmt.Sprintf("%s; %s", words(refusal), r.said)
	}
	r.first, r.last = first, markOf(c)
	return r
}

func failed(err error) result {
	return result{outcome: broken, said: words(err), err: err}
}

// words shortens what package net says: the addresses, whose ports differ in
// every run, tell a reader of the table nothing.
func words(err error) string {
	said := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		short := op.Err.Error()
		if !strings.HasPrefix(short, op.Op+": ") { // of the system call
			short = op.Op + ": " + short
		}
		said = strings.Replace(said, op.Error(), short, 1)
	}
	return said
}
