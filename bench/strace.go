package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// calls has the number of times that an operation makes each system call.
type calls map[string]float64

// A tracer counts system calls with strace, which needs no privilege.
type tracer struct {
	few, many int    // operations of a short and of a long run
	lacks     string // not empty: system calls cannot be counted
}

func newTracer(ctx context.Context, few, many int) *tracer {
	t := &tracer{few: few, many: many}
	if _, err := t.run(ctx, nil, "nothing"); err != nil {
		t.lacks = "not counted"
		fmt.Fprintln(os.Stderr, "system calls are not counted:", err)
	}
	return t
}

// perOperation runs a job for few and for many operations and divides the difference,
// because the calls of the start and of the first dial are in both. The number of
// operations is the job's last argument.
//
// started, if not nil, is called with the line that the job prints when it is ready, and
// with the number of operations.
func (t *tracer) perOperation(ctx context.Context, started func(line string, n int) error, job ...string) (calls, error) {
	if t.lacks != "" {
		return nil, nil
	}
	count := func(n int) (calls, error) {
		ready := func(line string) error { return started(line, n) }
		if started == nil {
			ready = nil
		}
		return t.run(ctx, ready, append(job[:len(job):len(job)], strconv.Itoa(n))...)
	}
	few, err := count(t.few)
	if err != nil {
		return nil, err
	}
	many, err := count(t.many)
	if err != nil {
		return nil, err
	}
	per := calls{}
	for name := range many {
		per[name] = (many[name] - few[name]) / float64(t.many-t.few)
	}
	return per, nil
}

// operations returns the number of operations in one call of perOperation.
func (t *tracer) operations() int {
	if t.lacks != "" {
		return 0
	}
	return t.few + t.many
}

// run counts a child's system calls on sockets and descriptors.
func (t *tracer) run(ctx context.Context, ready func(line string) error, job ...string) (calls, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "strace")
	under := []string{"strace", "-f", "-qq", "-c", "-e", "trace=%network,%desc", "-e", "signal=none", "-o", log}
	cmd, err := childCommand(ctx, under, job...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // fewer wake-ups between threads, which are system calls
	if err := runToReady(cmd, ready); err != nil {
		return nil, fmt.Errorf("strace %v: %w", job, err)
	}
	summary, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	return parseSummary(string(summary))
}

// runToReady runs a command, and calls ready with the first line that it prints.
func runToReady(cmd *exec.Cmd, ready func(line string) error) error {
	if ready == nil {
		return cmd.Run()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		err = ready(strings.TrimSpace(line))
	}
	if err != nil {
		err = errors.Join(err, cmd.Process.Kill())
	}
	return errors.Join(err, cmd.Wait())
}

// uncounted are calls of Go's scheduler and memory management, whose number varies.
var uncounted = []string{"total", "epoll_pwait", "epoll_pwait2", "epoll_wait", "mmap"}

// retried are calls that fail with EAGAIN until there is something to do. Only those that
// succeed are counted.
var retried = []string{"accept4", "read", "sendfile", "splice", "write", "writev"}

// parseSummary reads the table that strace -c writes: time, seconds, µs per call,
// calls, errors if there were any, name.
func parseSummary(summary string) (calls, error) {
	counted := calls{}
	for line := range strings.Lines(summary) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] == "%" || strings.HasPrefix(f[0], "-") {
			continue
		}
		name := f[len(f)-1]
		if slices.Contains(uncounted, name) {
			continue
		}
		n, err := strconv.Atoi(f[3])
		if err != nil {
			return nil, fmt.Errorf("strace's summary: %q: %w", line, err)
		}
		if len(f) == 6 && slices.Contains(retried, name) {
			failed, err := strconv.Atoi(f[4])
			if err != nil {
				return nil, fmt.Errorf("strace's summary: %q: %w", line, err)
			}
			n -= failed
		}
		counted[name] = float64(n)
	}
	return counted, nil
}

// String lists the calls with their numbers.
func (c calls) String() string { return c.render("%g %s") }

// minus lists the differences from base.
func (c calls) minus(base calls) string {
	if c == nil {
		return c.String()
	}
	d := calls{}
	for _, m := range []calls{c, base} {
		for name := range m {
			d[name] = c[name] - base[name]
		}
	}
	return d.render("%+g %s")
}

func (c calls) render(format string) string {
	if c == nil {
		return "not counted"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if n := tidy(c[name]); n != 0 {
			parts = append(parts, fmt.Sprintf(format, n, name))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// tidy rounds away up to a tenth of a call, which the Go runtime adds at random.
func tidy(n float64) float64 {
	if whole := math.Round(n); math.Abs(n-whole) <= 0.1 {
		return whole
	}
	return math.Round(n*10) / 10
}
