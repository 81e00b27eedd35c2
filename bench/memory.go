package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// measureMemory opens many connections, alternately bare and pinned, each time in new
// processes.
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
	return fmt.Sprintf("%v\nGoroutines are those of all %d processes, each of which may have at most %d descriptors. %s\n",
		t, 2*got[0].processes, descriptors(), conditions(b.openings)), nil
}

func perConn(h Held) string { return fmt.Sprintf("%.0f", float64(h.Heap)/float64(h.Conns)) }

// opened has the results of opening many connections.
type opened struct {
	took              time.Duration
	dialled, accepted Held
	processes         int // on each side
}

// openPairs opens n connections. If a process may not have that many descriptors, several
// couples share them. Each couple has its own destination address, and so all ports.
func openPairs(ctx context.Context, n int, pinned bool) (o opened, err error) {
	const spare = 500 // descriptors other than connections
	const ports = 20000
	most := min(max(descriptors()-spare, 100), ports)
	couples := make([]*couple, (n+most-1)/most)
	o.processes = len(couples)
	for i := range couples {
		first, last := n*i/len(couples), n*(i+1)/len(couples)
		c, failed := startCouple(ctx, Hold{Address: fmt.Sprintf("127.0.0.%d:0", 1+i), Conns: last - first, Pinned: pinned})
		defer func() { err = errors.Join(err, c.Close()) }()
		if failed != nil {
			return o, failed
		}
		couples[i] = c
	}
	begin := time.Now()
	errs := make(chan error)
	for _, c := range couples {
		go func() { errs <- c.open() }()
	}
	for range couples {
		err = errors.Join(err, <-errs)
	}
	o.took = time.Since(begin)
	for _, c := range couples {
		if err == nil {
			err = c.look(&o)
		}
	}
	return o, err
}

// descriptors returns how many descriptors a process may have. Go has raised the soft limit
// to the hard limit.
func descriptors() int {
	const usual = 1024
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return usual
	}
	return int(min(limit.Cur, 1<<20))
}
