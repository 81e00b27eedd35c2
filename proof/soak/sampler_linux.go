package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A sampler measures while the workers work, and prints a line each time.
type sampler struct {
	out    io.Writer
	tally  *tally
	period time.Duration
	seen   []resources
}

// newSampler returns a sampler that measures every ten seconds, or more often in a
// short run.
func newSampler(out io.Writer, t *tally, length time.Duration) *sampler {
	return &sampler{out: out, tally: t, period: max(min(10*time.Second, length/30), time.Second)}
}

// start begins to measure, and returns a function that stops. A nil sampler does
// nothing.
func (s *sampler) start() (stop func()) {
	if s == nil {
		return func() {}
	}
	begin, done := time.Now(), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(s.period)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			r := measure()
			if time.Since(begin) > filling {
				s.seen = append(s.seen, r)
			}
			fmt.Fprintf(s.out, "%6v  %v; %d operations: %s\n",
				time.Since(begin).Round(time.Second), r, s.tally.total(), s.tally.line())
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// growth prints how the samples changed, and returns an error for growth.
func (s *sampler) growth(out io.Writer) error { return grown(out, s.seen) }
