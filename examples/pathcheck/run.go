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

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitNoHarm
	}
	if err != nil {
		return exitUncertain
	}
	if o.serve != "" {
		err := serve(ctx, o.serve, func(a net.Addr) { fmt.Fprintf(stdout, "pathcheck: listening on %v\n", a) })
		if err != nil {
			fmt.Fprintf(stderr, "pathcheck: %v\n", err)
			return exitUncertain
		}
		return exitNoHarm
	}
	targets := make([]target, len(o.targets))
	for i, text := range o.targets {
		if targets[i], err = parseTarget(text, o.peer); err != nil {
			fmt.Fprintf(stderr, "pathcheck: %v\n", err)
			return exitUncertain
		}
	}
	c := &checker{options: o, stdout: stdout, ticker: newTicker(stderr)}
	if o.json {
		machine, err := os.Hostname()
		if err != nil {
			fmt.Fprintf(stderr, "pathcheck: %v\n", err)
			return exitUncertain
		}
		c.json = &jsonWriter{w: stdout, machine: machine}
	}
	code, err := c.checkAll(ctx, targets)
	if err != nil {
		fmt.Fprintf(stderr, "pathcheck: %v\n", err)
		return exitUncertain
	}
	return code
}

// A checker checks targets.
type checker struct {
	options
	stdout io.Writer
	json   *jsonWriter // nil: for people
	ticker *ticker
}

// checkAll checks the targets side by side, reports in their order, and returns
// the exit status.
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
	for i := range targets {
		d := <-found[i]
		states[d.state] = true
		if c.json == nil {
			c.ticker.clear()
			printReport(c.stdout, targets[i], d)
		}
	}
	all.Wait()
	switch err := cmp.Or(errs...); {
	case err != nil:
		return exitUncertain, err
	case states[harm]:
		return exitHarm, nil
	case states[couldNotTell]:
		return exitUncertain, nil
	}
	return exitNoHarm, nil
}

// check checks one target. The error is about the output.
func (c *checker) check(ctx context.Context, t *target) (diagnosis, error) {
	d, err := c.examine(ctx, t)
	if c.json != nil {
		err = cmp.Or(err, c.json.verdict(*t, d))
	}
	return d, err
}

func (c *checker) examine(ctx context.Context, t *target) (d diagnosis, err error) {
	if err := t.resolve(ctx, c.network()); err != nil {
		return diagnosis{state: couldNotTell, why: "the name does not resolve: " + err.Error()}, nil
	}
	if t.scheme == "" {
		t.scheme = sniff(ctx, t.addr.String(), c.timeout)
	}
	x := &examiner{
		wanted: c.dscp, scheme: t.scheme, n: c.n,
		try: tester{*t, c.timeout}.try,
		tell: func(tr trial, p progress) {
			c.ticker.show(*t, tr, p)
			if c.json != nil {
				err = cmp.Or(err, c.json.trial(*t, tr))
			}
		},
	}
	trials := x.examine(ctx)
	if ctx.Err() != nil {
		return diagnosis{state: couldNotTell, why: "interrupted"}, err
	}
	return diagnose(trials, c.dscp, t.scheme), err
}
