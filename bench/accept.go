package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
)

// listeners are compared to the first of them. markLate is for programs that set the option
// on accepted connections.
var listeners = []struct {
	name   string
	listen func(ctx context.Context, network, address string) (net.Listener, error)
	after  func(net.Conn) error
}{
	{"`net.ListenConfig`, plain TCP", plainConfig().Listen, nil},
	{"the same again (noise)", plainConfig().Listen, nil},
	{"`net.ListenConfig{}`, Multipath TCP by default", new(net.ListenConfig).Listen, nil},
	{"`dscp.ListenConfig{DSCP: AF21}`", (&dscp.ListenConfig{DSCP: dscp.AF21}).Listen, nil},
	{"`dscp.ListenConfig{}`", new(dscp.ListenConfig).Listen, nil},
	{"`dscp.ListenConfig{DSCP: AF21}.Marked()`", (&dscp.ListenConfig{DSCP: dscp.AF21}).Marked().Listen, nil},
	{"`net.ListenConfig`, plain TCP, then x/net (late)", plainConfig().Listen, markLate},
}

func plainConfig() *net.ListenConfig {
	lc := new(net.ListenConfig)
	lc.SetMultipathTCP(false)
	return lc
}

// A Caller is the far end of accepts: it dials and keeps the connections open until the
// clock has stopped.
type Caller struct{ conns []net.Conn }

// Dial makes q.Waiting connections.
func (c *Caller) Dial(q Queue, _ *None) error {
	for range q.Waiting {
		conn, err := net.Dial("tcp", q.Address)
		if err != nil {
			return err
		}
		c.conns = append(c.conns, conn)
	}
	return nil
}

// Drop resets all connections that Dial has made.
func (c *Caller) Drop(None, *None) error {
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, reset(conn))
	}
	c.conns = nil
	return errors.Join(errs...)
}

func measureAccept(b *bench) (string, error) {
	far, err := startFarEnd(b.ctx)
	if err != nil {
		return "", err
	}
	defer far.Close()
	var doc strings.Builder
	for _, family := range families {
		t, err := acceptTable(b, far, family.address)
		if err != nil {
			return "", fmt.Errorf("%s: %w", family.name, err)
		}
		fmt.Fprintf(&doc, "### %s\n\n%v\n", family.name, t)
	}
	fmt.Fprintf(&doc, "%d connections a round, all of which wait when the clock starts; %s\n", b.accepts, conditions(b.rounds))
	return doc.String(), nil
}

func acceptTable(b *bench, far *farEnd, address string) (*table, error) {
	subjects := make([]subject, len(listeners))
	opened := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		var err error
		if opened[i], err = l.listen(b.ctx, "tcp", address); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		defer opened[i].Close()
		subjects[i] = subject{l.name, func() (took time.Duration, err error) {
			err = accepting(far, opened[i], b.accepts, func() error {
				took, err = acceptAll(opened[i], l.after, b.accepts)
				return err
			})
			return took, err
		}}
	}
	seconds, err := interleave(b.rounds, subjects)
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"", "time", "allocations", "bytes", "system calls"}}
	var bare cost
	for i, l := range listeners {
		c, err := acceptCost(b, far, i, opened[i], address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		if i == 0 {
			bare = c
			t.add(l.name, micros(seconds[0], b.accepts),
				strconv.Itoa(c.allocations), strconv.Itoa(c.bytes), c.calls.String())
			continue
		}
		t.add(l.name, ratio(seconds[i], seconds[0]).String(),
			fmt.Sprintf("%+d", c.allocations-bare.allocations), fmt.Sprintf("%+d", c.bytes-bare.bytes), c.calls.minus(bare.calls))
	}
	return t, nil
}

// accepting runs f with n connections waiting at l.
func accepting(far *farEnd, l net.Listener, n int, f func() error) error {
	if err := far.Call("Caller.Dial", Queue{l.Addr().String(), n}, &None{}); err != nil {
		return err
	}
	return errors.Join(f(), far.Call("Caller.Drop", None{}, &None{}))
}

// giveUpAfter sets a deadline for Accept, in case the other end has failed.
func giveUpAfter(l net.Listener, wait time.Duration) error {
	return l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(wait))
}

// acceptAll accepts n connections and resets them when the clock has stopped.
func acceptAll(l net.Listener, after func(net.Conn) error, n int) (time.Duration, error) {
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			reset(c)
		}
	}()
	if err := giveUpAfter(l, patience); err != nil {
		return 0, err
	}
	begin := time.Now()
	for range n {
		c, err := l.Accept()
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
		if after == nil {
			continue
		}
		if err := after(c); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func acceptCost(b *bench, far *farEnd, listener int, l net.Listener, address string) (cost, error) {
	var c cost
	err := accepting(far, l, b.accepts, func() (err error) {
		c.allocations, c.bytes, err = allocated(b.accepts, func() error {
			_, err := acceptAll(l, listeners[listener].after, b.accepts)
			return err
		})
		return err
	})
	if err != nil {
		return c, err
	}
	c.calls, err = b.strace.perOperation(b.ctx, func(at string, n int) error {
		return far.Call("Caller.Dial", Queue{at, n}, &None{})
	}, "accept", strconv.Itoa(listener), address)
	return c, errors.Join(err, far.Call("Caller.Drop", None{}, &None{}))
}

// acceptJob runs under strace. Its args are the index of a listener, its address and the
// number of connections to accept. It prints the address to dial.
func acceptJob(args []string) error {
	listener, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	l, err := listeners[listener].listen(context.Background(), "tcp", args[1])
	if err != nil {
		return err
	}
	defer l.Close()
	if err := giveUpAfter(l, patience); err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for range n {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if after := listeners[listener].after; after != nil {
			if err := after(c); err != nil {
				return err
			}
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}
