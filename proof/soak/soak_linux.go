package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// A config has the flags of the command.
type config struct {
	length  time.Duration
	seed    uint64
	workers int
	out     io.Writer
}

// soak warms up, measures, soaks, and measures again. The error has what was wrong.
func (c config) soak() error {
	fmt.Fprintf(c.out, "soak for %v, seed %d, %d workers, %s on %d processors\n",
		c.length, c.seed, c.workers, runtime.Version(), runtime.GOMAXPROCS(0))
	payload, err := newPayload(c.seed)
	if err != nil {
		return err
	}
	defer payload.remove()

	// After the warm-up everything exists that the runtime, net and pools make once.
	warm := newTally(c.out, c.seed)
	err = c.phase(0, min(c.length/10+time.Second, 30*time.Second), payload, warm, nil)
	if err := errors.Join(warm.failed(), err); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	before := settled(measure) // two collections empty the pools
	fmt.Fprintf(c.out, "warm    %v\n", before)

	t := newTally(c.out, c.seed)
	samples := newSampler(c.out, t, c.length)
	if err := c.phase(1, c.length, payload, t, samples); err != nil {
		return errors.Join(t.failed(), err)
	}
	after := settled(measure)
	fmt.Fprintf(c.out, "drained %v\n", after)

	uncollected, err := c.uncollected(payload, t)
	if err != nil {
		return errors.Join(t.failed(), err)
	}
	fmt.Fprintf(c.out, "and after some more without the garbage collector: goroutines %d, sockets %d\n%s",
		uncollected.goroutines, uncollected.sockets, t.summary())
	return errors.Join(t.failed(), leaked(before, after), forgotten(before, uncollected), samples.growth(c.out))
}

// uncollected soaks without garbage collection and counts what is left: the collector
// would close sockets that were not closed, and so hide the leak.
func (c config) uncollected(p *payload, t *tally) (resources, error) {
	const most = 1 << 30 // above this the collector runs, to protect the machine
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(most))
	err := c.phase(2, min(c.length, 5*time.Second), p, t, nil)
	return settled(count), err
}

// phase opens a site, keeps all workers busy on it until d has passed, and
// closes it.
func (c config) phase(number uint64, d time.Duration, p *payload, t *tally, samples *sampler) error {
	s, err := openSite(p, t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	dog := newWatchdog(c.out, t)
	defer dog.stop()
	stopSampling := samples.start()
	var running sync.WaitGroup
	for i := range c.workers {
		running.Go(func() {
			w := &worker{
				site: s,
				rng:  rand.New(rand.NewPCG(c.seed, number<<32|uint64(i))),
			}
			w.work(ctx, i, dog)
		})
	}
	running.Wait()
	stopSampling()
	return s.close()
}

// A worker carries out one operation after another. It has its own random generator,
// so that its operations are the same in every run with one seed.
type worker struct {
	*site
	rng *rand.Rand
}

func (w *worker) work(ctx context.Context, number int, dog *watchdog) {
	for n := 0; ctx.Err() == nil && !w.tally.hopeless(); n++ {
		op := operations[w.rng.IntN(len(operations))]
		// Operations use different amounts of random numbers: each gets its own
		// generator.
		rng := w.rng
		w.rng = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		free := dog.watch(op.name)
		err := op.run(w)
		free()
		w.rng = rng
		w.tally.finish(op.name, err, number, n)
	}
}

// chance reports true once in n times.
func (w *worker) chance(n int) bool { return w.rng.IntN(n) == 0 }

// one returns a random element.
func one[T any](w *worker, of []T) T { return of[w.rng.IntN(len(of))] }

// between returns a random duration.
func (w *worker) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}
