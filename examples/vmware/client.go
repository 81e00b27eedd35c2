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

// An outcome is the outcome of a strategy.
type outcome string

const (
	works   outcome = "works"   // the work was done
	broken  outcome = "broken"  // the connection broke or hung
	refused outcome = "refused" // the change of the mark was refused, and the work was done
	skipped outcome = "skipped" // it cannot be tried here

	anything outcome = "" // as an expectation: none
)

// A result is the outcome of a strategy as the program sees it.
type result struct {
	outcome outcome
	said    string // the program's message
	err     error  // the error, if outcome is broken and a Go function returned one

	// The mark of the client's socket after connect and at the end. Without a box,
	// these are the only known marks.
	first, last mark
}

// A place is the address that a strategy dials, and the data of the server there.
type place struct {
	network string // tcp, tcp4 or tcp6
	addr    string
	host    string     // host of HTTP requests
	keys    *keyring   // of an SSH server
	logins  func() int // number of logins at the SSH server so far

	// For the ssh command: the user, and the command for which the server sends flood.
	user, command string
}

// A moment is a time in a connection at which a client may change the mark.
type moment int

const (
	never     moment = iota
	connected        // connect has returned, nothing has been sent
	loggedIn         // SSH: authenticated, no channel open yet
	midway           // part of the work is done
)

type (
	dialFunc   = func(ctx context.Context, network, address string) (net.Conn, error)
	listenFunc = func(ctx context.Context, network, address string) (net.Listener, error)

	// work uses a connection. It calls at at each moment, returns the error if that
	// fails, and returns a message about the result.
	work = func(c net.Conn, p place, at func(moment) error) (string, error)
)

// A client connects, does its work, and may change its mark at one moment.
type client struct {
	dial   dialFunc
	change func(net.Conn) error
	at     moment
	work   work
}

var errNotPinned = errors.New("the connection is not pinned")

// run connects and runs the client's work until that or ctx ends.
func (cl client) run(ctx context.Context, p place) result {
	c, err := cl.dial(ctx, p.network, p.addr)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // in the past: ends reads and writes
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
			return nil // the flow goes on
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

// words returns the text of an error without the addresses that package net adds. Their
// ports differ in each run.
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
