package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

var background = context.Background()

// measureMemory opens many connections at once, bare ones and pinned ones in
// turns, each time in fresh processes.
func measureMemory(b *bench) (string, error) {
	kinds := []struct {
		name   string
		pinned bool
	}{{"bare", false}, {"bare again (noise)", false}, {"pinned", true}}
	got := make([]opened, len(kinds))
	subjects := make([]subject, len(kinds))
	for i, kind := range kinds {
		subjects[i] = subject{kind.name, func() (time.Duration, error) {
			var err error
			got[i], err = openPairs(b.ctx, b.pairs, kind.pinned)
			return got[i].took, err
		}}
	}
	seconds, err := interleave(b.openings, subjects)
	if err != nil {
		return "", err
	}
	t := &table{head: []string{fmt.Sprintf("%d connections, both ends", b.pairs), "time to open", "bytes of heap for each, dialled end", "accepted end", "goroutines", "`Verify() == nil`"}}
	for i, kind := range kinds {
		o := got[i]
		intact := "–"
		if kind.pinned {
			intact = fmt.Sprintf("%d of %d", o.dialled.Intact+o.accepted.Intact, o.dialled.Conns+o.accepted.Conns)
		}
		took := fmt.Sprintf("%.2f s", estimateOf(seconds[0]).median)
		if i > 0 {
			took = ratio(seconds[i], seconds[0]).String()
		}
		t.add(kind.name, took, perConn(o.dialled), perConn(o.accepted), strconv.Itoa(o.dialled.Goroutines+o.accepted.Goroutines), intact)
	}
	return fmt.Sprintf("%v\nGoroutines are those of all %d processes: one may have no more than %d descriptors here. %s\n",
		t, 2*got[0].processes, descriptors(), conditions(b.openings)), nil
}

func perConn(h Held) string { return fmt.Sprintf("%.0f", float64(h.Heap)/float64(h.Conns)) }

// opened is what came of opening pairs of connections.
type opened struct {
	took              time.Duration
	dialled, accepted Held
	processes         int // on each side
}

// openPairs opens n connections. If a process may not have that many descriptors,
// several share them. Each pair of processes has a destination of its own, and
// so all ports to itself.
func openPairs(ctx context.Context, n int, pinned bool) (o opened, err error) {
	const spare = 500 // descriptors for all else, and ports that others use
	const ports = 20000
	most := min(descriptors()-spare, ports)
	o.processes = (n + most - 1) / most
	type couple struct {
		dialler, acceptor *farEnd
		hold              Hold
	}
	var couples []couple
	defer func() {
		for _, c := range couples {
			err = errors.Join(err, c.dialler.Close(), c.acceptor.Close())
		}
	}()
	for i := range o.processes {
		var c couple
		if c.dialler, err = startFarEnd(ctx); err != nil {
			return o, err
		}
		if c.acceptor, err = startFarEnd(ctx); err != nil {
			return o, errors.Join(err, c.dialler.Close())
		}
		couples = append(couples, c)
		first, last := n*i/o.processes, n*(i+1)/o.processes
		c.hold = Hold{Address: fmt.Sprintf("127.0.0.%d:0", 1+i), Conns: last - first, Pinned: pinned}
		if err := c.acceptor.Call("Holder.Listen", c.hold, &c.hold.Address); err != nil {
			return o, err
		}
		if err := c.dialler.Call("Holder.Call", c.hold, &None{}); err != nil {
			return o, err
		}
		couples[i] = c
	}
	all := func(call func(c couple) error) error {
		errs := make(chan error)
		for _, c := range couples {
			go func() { errs <- call(c) }()
		}
		var failed error
		for range couples {
			failed = errors.Join(failed, <-errs)
		}
		return failed
	}
	begin := time.Now()
	err = all(func(c couple) error {
		step := backlog() // more at a time than wait for an acceptor that sleeps, and SYNs would be lost
		for left := c.hold.Conns; left > 0; left -= step {
			n := min(step, left)
			accepting := c.acceptor.Go("Holder.Open", n, &None{}, nil)
			err := c.dialler.Call("Holder.Open", n, &None{})
			if err = errors.Join(err, (<-accepting.Done).Error); err != nil {
				return err
			}
		}
		return nil
	})
	o.took = time.Since(begin)
	if err != nil {
		return o, err
	}
	for _, c := range couples {
		for _, side := range []struct {
			end *farEnd
			sum *Held
		}{{c.dialler, &o.dialled}, {c.acceptor, &o.accepted}} {
			var held Held
			if err := side.end.Call("Holder.Look", None{}, &held); err != nil {
				return o, err
			}
			side.sum.Conns += held.Conns
			side.sum.Intact += held.Intact
			side.sum.Heap += held.Heap
			side.sum.Goroutines += held.Goroutines
		}
	}
	return o, all(func(c couple) error { return c.dialler.Call("Holder.Drop", None{}, &None{}) })
}

// descriptors is how many a process may have: Go has raised the limit that
// counts to the hard one.
func descriptors() int {
	const usual = 1024
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return usual
	}
	return int(min(limit.Cur, 1<<20))
}
