package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

// patience is how long an operation may take. Their own deadlines are shorter.
const patience = time.Minute

// A watchdog ends the process if an operation hangs, and prints the stacks of all
// goroutines.
type watchdog struct {
	out   io.Writer
	tally *tally
	done  chan struct{}

	mu      sync.Mutex
	next    int
	running map[int]running
}

type running struct {
	name  string
	since time.Time
}

func newWatchdog(out io.Writer, t *tally) *watchdog {
	d := &watchdog{out: out, tally: t, done: make(chan struct{}), running: map[int]running{}}
	go d.guard()
	return d
}

// watch begins to watch an operation, and returns the function that ends it.
func (d *watchdog) watch(name string) (free func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.next
	d.next++
	d.running[id] = running{name, time.Now()}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, id)
	}
}

func (d *watchdog) stop() { close(d.done) }

func (d *watchdog) guard() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-tick.C:
		}
		if name, hangs := d.hanging(); hangs {
			stacks := make([]byte, 16<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			fmt.Fprintf(d.out, "%s\n%sHANG: %s has not ended for %v\n", stacks, d.tally.summary(), name, patience)
			os.Exit(2)
		}
	}
}

func (d *watchdog) hanging() (name string, hangs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.running {
		if time.Since(r.since) > patience {
			return r.name, true
		}
	}
	return "", false
}
