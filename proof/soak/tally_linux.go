package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// enough is how many failures end the soak.
const enough = 10

// A tally counts what happens.
type tally struct {
	out  io.Writer
	seed uint64

	bytes, datagrams, connections, refusals atomic.Int64

	mu         sync.Mutex
	operations map[string]int
	errors     map[string]int // expected errors, by kind and operation
	failures   []error
}

func newTally(out io.Writer, seed uint64) *tally {
	return &tally{out: out, seed: seed, operations: map[string]int{}, errors: map[string]int{}}
}

// finish counts an operation, and its error as a failure.
func (t *tally) finish(name string, err error, worker, number int) {
	t.mu.Lock()
	t.operations[name]++
	t.mu.Unlock()
	if err != nil {
		t.fail(fmt.Errorf("worker %d, operation %d, %s: %w", worker, number, name, err))
	}
}

// fail records a failure and prints it at once.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, err)
	fmt.Fprintf(t.out, "WRONG (seed %d): %v\n", t.seed, err)
}

// expected counts an error that had to come or was allowed.
func (t *tally) expected(what string, k kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[what+": "+string(k)]++
}

// hopeless reports whether there are enough failures to stop.
func (t *tally) hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.failures) >= enough
}

func (t *tally) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d operations went wrong, the first: %w", len(t.failures), t.failures[0])
}

// total returns how many operations have ended.
func (t *tally) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.operations {
		n += m
	}
	return n
}

// summary lists the counts.
func (t *tally) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d connections, %.1f MiB compared, %d datagrams, %d changes of a mark refused\n",
		t.connections.Load(), mib(uint64(t.bytes.Load())), t.datagrams.Load(), t.refusals.Load())
	for _, part := range []struct {
		title  string
		counts map[string]int
	}{{"operations", t.operations}, {"expected errors", t.errors}} {
		fmt.Fprintf(&b, "%s:\n", part.title)
		for _, name := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(&b, "  %-44s %8d\n", name, part.counts[name])
		}
	}
	return b.String()
}

// line returns the counts of operations on one line.
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.operations)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, t.operations[name]))
	}
	return strings.Join(parts, ", ")
}
