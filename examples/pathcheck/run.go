package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// The exit statuses.
const (
	exitNoHarm    = 0
	exitHarm      = 1
	exitUncertain = 2
)

// run runs the program and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := serveOrCheck(ctx, args, stdin, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitNoHarm
	case err != nil:
		fmt.Fprintf(stderr, "pathcheck: %v\n", err)
		return exitUncertain
	}
	return code
}

func serveOrCheck(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return exitUncertain, err
	}
	if o.serve != "" {
		return exitNoHarm, serve(ctx, o.serve, func(a net.Addr) error {
			_, err := fmt.Fprintf(stdout, "pathcheck: listening on %v\n", a)
			return err
		})
	}
	targets, err := o.allTargets(stdin)
	if err != nil {
		return exitUncertain, err
	}
	c := &checker{options: o, stdout: stdout, ticker: newTicker(stderr)}
	if o.json {
		machine, err := os.Hostname()
		if err != nil {
			return exitUncertain, err
		}
		c.json = &jsonWriter{w: stdout, machine: machine}
	}
	return c.checkAll(ctx, targets)
}

// A checker checks targets.
type checker struct {
	options
	stdout io.Writer
	json   *jsonWriter // nil: print text
	ticker *ticker
}

// checkAll checks the targets concurrently, prints the reports in the order of the
// targets, and returns the exit status.
func (c *checker) checkAll(ctx context.Context, targets []target) (int, error) {
	found := make([]chan diagnosis, len(targets))
	errs := make([]error, len(targets))
	room := make(chan struct{}, c.parallel)
	var all sync.WaitGroup
	for i := range targets {
		found[i] = make(chan diagnosis, 1)
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			d, err := c.check(ctx, &targets[i])
			errs[i] = err
			found[i] <- d
		})
	}
	states := make(map[state]bool)
	var printing error // the first error of printReport
	for i := range targets {
		d := <-found[i]
		states[d.state] = true
		if c.json == nil {
			c.ticker.clear()
			printing = cmp.Or(printing, printReport(c.stdout, targets[i], d))
		}
	}
	all.Wait()
	switch err := cmp.Or(append(errs, printing)...); {
	case err != nil:
		return exitUncertain, err
	case states[harm]:
		return exitHarm, nil
	case states[couldNotTell]:
		return exitUncertain, nil
	}
	return exitNoHarm, nil
}

// check checks one target. It returns an error only if the output failed.
func (c *checker) check(ctx context.Context, t *target) (diagnosis, error) {
	d, err := c.examine(ctx, t)
	if c.json != nil {
		err = cmp.Or(err, c.json.verdict(*t, d))
	}
	return d, err
}

func (c *checker) examine(ctx context.Context, t *target) (d diagnosis, err error) {
	if err := t.resolve(ctx, &c.options); err != nil {
		return diagnosis{state: couldNotTell, why: err.Error()}, nil
	}
	if t.scheme == "" {
		t.scheme = sniff(ctx, t.addr.String(), c.timeout)
	}
	by := tester{*t, c.timeout}
	x := &examiner{
		wanted: c.dscp, scheme: t.scheme, n: c.n,
		try: by.try,
		tell: func(tr trial, p progress) {
			c.ticker.show(*t, tr, p)
			if c.json != nil {
				err = cmp.Or(err, c.json.trial(*t, tr))
			}
		},
	}
	d = diagnose(x.examine(ctx), c.dscp, t.scheme)
	d.prescribe(ctx, by)
	if ctx.Err() != nil {
		return diagnosis{state: couldNotTell, why: "interrupted"}, err
	}
	return d, err
}
