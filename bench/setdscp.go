package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/dscp"
)

// changes are calls on an established connection.
var changes = []struct {
	name string
	ask  func(c *dscp.Conn) error
}{
	{"x/net `SetTOS` on a `*net.TCPConn` (granted)", func(c *dscp.Conn) error {
		return ipv4.NewConn(c.TCPConn).SetTOS(int(dscp.AF21.TOS())) //nolint:dscpvet // the unguarded call is the base of the comparison
	}},
	{"the same again (noise)", func(c *dscp.Conn) error {
		return ipv4.NewConn(c.TCPConn).SetTOS(int(dscp.AF21.TOS())) //nolint:dscpvet // the unguarded call is the base of the comparison
	}},
	{"`Conn.SetDSCP(CS1)` (refused)", func(c *dscp.Conn) error {
		return refused(c.SetDSCP(dscp.CS1))
	}},
	{"`Conn.SetDSCP(AF21)`, the mark it has", func(c *dscp.Conn) error {
		return c.SetDSCP(dscp.AF21)
	}},
	{"x/net `SetTOS` on a `*dscp.Conn` (refused)", func(c *dscp.Conn) error {
		return refused(ipv4.NewConn(c).SetTOS(int(dscp.CS1.TOS()))) //nolint:dscpvet // measures the refusal
	}},
	{"`Conn.Verify()`", (*dscp.Conn).Verify},
}

func refused(err error) error {
	if errors.Is(err, dscp.ErrMidFlow) {
		return nil
	}
	return fmt.Errorf("not refused: %v", err)
}

// pinnedConn returns a pinned connection to a listener that never accepts it.
func pinnedConn() (*dscp.Conn, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return c.(*dscp.Conn), func() { c.Close(); l.Close() }, nil
}

func measureSetDSCP(b *bench) (string, error) {
	conn, done, err := pinnedConn()
	if err != nil {
		return "", err
	}
	defer done()
	subjects := make([]subject, len(changes))
	for i, ch := range changes {
		subjects[i] = subject{ch.name, func() (time.Duration, error) {
			begin := time.Now()
			err := askAll(conn, ch.ask, b.refusals)
			return time.Since(begin), err
		}}
	}
	seconds, err := interleave(b.rounds, subjects)
	if err != nil {
		return "", err
	}
	t := &table{head: []string{"", "ns", "of x/net's time", "allocations", "bytes", "system calls"}}
	for i, ch := range changes {
		var c cost
		c.allocations, c.bytes, err = allocated(b.refusals, func() error { return askAll(conn, ch.ask, b.refusals) })
		if err != nil {
			return "", err
		}
		if c.calls, err = b.strace.perOperation(b.ctx, nil, "setdscp", strconv.Itoa(i)); err != nil {
			return "", err
		}
		share := ""
		if i > 0 {
			share = ratio(seconds[i], seconds[0]).String()
		}
		t.add(ch.name, fmt.Sprintf("%.0f", 1e9/float64(b.refusals)*estimateOf(seconds[i]).median), share,
			strconv.Itoa(c.allocations), strconv.Itoa(c.bytes), c.calls.String())
	}
	return fmt.Sprintf("%v\n%d calls a round; %s\n", t, b.refusals, conditions(b.rounds)), nil
}

func askAll(c *dscp.Conn, ask func(*dscp.Conn) error, n int) error {
	for range n {
		if err := ask(c); err != nil {
			return err
		}
	}
	return nil
}

// setDSCPJob runs under strace. Its args are the index of a change and the number of calls.
func setDSCPJob(args []string) error {
	change, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	conn, done, err := pinnedConn()
	if err != nil {
		return err
	}
	defer done()
	return askAll(conn, changes[change].ask, n)
}
