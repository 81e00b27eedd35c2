package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// parallel is the number of concurrent dials in the second comparison.
const parallel = 64

// families are the address families, with the address that the far end listens on.
var families = []struct{ name, address string }{
	{"IPv4", "127.0.0.1:0"},
	{"IPv6", "[::1]:0"},
}

func measureDial(b *bench) (string, error) {
	far, err := startFarEnd(b.ctx)
	if err != nil {
		return "", err
	}
	defer far.Close()
	var doc strings.Builder
	for _, family := range families {
		q := &queue{far: far, limit: backlog()}
		if err := far.Call("Callee.Listen", family.address, &q.address); err != nil {
			return "", err
		}
		t, err := dialTable(b, q)
		if err != nil {
			return "", fmt.Errorf("%s: %w", family.name, err)
		}
		fmt.Fprintf(&doc, "### %s\n\n%v\n", family.name, t)
	}
	fmt.Fprintf(&doc, "%d dials a round, in parallel %d; %s Peers: %s, %s, %s.\n", b.dials, b.parallelDials, conditions(b.rounds),
		version("golang.org/x/net"), version("storj.io/common"), version("github.com/database64128/tfo-go/v2"))
	return doc.String(), nil
}

func dialTable(b *bench, q *queue) (*table, error) {
	one, err := q.compare(b, 1, b.dials)
	if err != nil {
		return nil, err
	}
	many, err := q.compare(b, parallel, b.parallelDials)
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"", "time, one at a time", fmt.Sprintf("time, %d in parallel", parallel), "allocations", "bytes", "system calls"}}
	var bare cost
	for i, d := range dialers {
		c, err := q.cost(b, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		if i == 0 {
			bare = c
			t.add(d.name, micros(one[0], b.dials), micros(many[0], b.parallelDials),
				strconv.Itoa(c.allocations), strconv.Itoa(c.bytes), c.calls.String())
			continue
		}
		t.add(d.name, ratio(one[i], one[0]).String(), ratio(many[i], many[0]).String(),
			fmt.Sprintf("%+d", c.allocations-bare.allocations), fmt.Sprintf("%+d", c.bytes-bare.bytes), c.calls.minus(bare.calls))
	}
	return t, nil
}

// micros formats the median time of one of n operations.
func micros(seconds []float64, n int) string {
	return fmt.Sprintf("%.1f µs", 1e6/float64(n)*estimateOf(seconds).median)
}

// A queue is a listener at the far end whose connections wait in the backlog until drain.
type queue struct {
	far     *farEnd
	address string
	waiting int
	limit   int
}

// compare dials n times with every dialer in turn, from that many goroutines.
func (q *queue) compare(b *bench, goroutines, n int) ([][]float64, error) {
	subjects := make([]subject, len(dialers))
	for i, d := range dialers {
		subjects[i] = subject{d.name, func() (time.Duration, error) {
			if err := q.reserve(n); err != nil {
				return 0, err
			}
			return dialAndClose(b.ctx, d.dial, q.address, goroutines, n)
		}}
	}
	seconds, err := interleave(b.rounds, subjects)
	if err != nil {
		return nil, err
	}
	return seconds, q.drain()
}

// reserve makes room for n connections. A full backlog drops SYNs, which would distort the
// measurement.
func (q *queue) reserve(n int) error {
	if q.waiting+n > q.limit {
		if err := q.drain(); err != nil {
			return err
		}
	}
	q.waiting += n
	return nil
}

func (q *queue) drain() error {
	n := q.waiting
	q.waiting = 0
	return q.far.Call("Callee.Drain", Queue{q.address, n}, &None{})
}

// backlog returns how many connections may wait for a listener without the loss of a SYN:
// half of somaxconn, which Go's listeners have as their backlog.
func backlog() int {
	const usual = 128
	data, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return usual
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return usual
	}
	return n / 2
}

// dialAndClose makes n connections from that many goroutines.
func dialAndClose(ctx context.Context, dial dialFunc, address string, goroutines, n int) (time.Duration, error) {
	begin := time.Now()
	err := parallelly(goroutines, func() error {
		for range n / goroutines {
			c, err := dial(ctx, "tcp", address)
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(begin), err
}

// parallelly runs f in that many goroutines and returns the first error.
func parallelly(goroutines int, f func() error) error {
	if goroutines == 1 {
		return f()
	}
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			if err := f(); err != nil {
				once.Do(func() { failed = err })
			}
		})
	}
	all.Wait()
	return failed
}

// A cost is the cost of one operation, other than time.
type cost struct {
	allocations, bytes int
	calls              calls
}

// cost measures one dial and close with a dialer.
func (q *queue) cost(b *bench, dialer int) (cost, error) {
	var c cost
	if err := q.reserve(b.dials); err != nil {
		return c, err
	}
	var err error
	c.allocations, c.bytes, err = allocated(b.dials, func() error {
		_, err := dialAndClose(b.ctx, dialers[dialer].dial, q.address, 1, b.dials)
		return err
	})
	if err != nil {
		return c, err
	}
	if err := q.reserve(b.strace.operations()); err != nil {
		return c, err
	}
	c.calls, err = b.strace.perOperation(b.ctx, nil, "dial", strconv.Itoa(dialer), q.address)
	return c, err
}

// allocated returns the allocations of each of the n operations of f.
func allocated(n int, f func() error) (allocations, bytes int, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = f()
	runtime.ReadMemStats(&after)
	each := func(a, b uint64) int { return int(float64(b-a)/float64(n) + 0.5) }
	return each(before.Mallocs, after.Mallocs), each(before.TotalAlloc, after.TotalAlloc), err
}

// dialJob runs under strace. Its args are the index of a dialer, an address and the number
// of dials.
func dialJob(args []string) error {
	dialer, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	_, err = dialAndClose(context.Background(), dialers[dialer].dial, args[1], 1, n)
	return err
}
