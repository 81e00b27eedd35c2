package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/godscp/godscp/dscp"
)

// run runs the program and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	out := output{rows: stdout, prose: stdout, problems: stderr, json: opts.json}
	if opts.json {
		out.prose = stderr // only rows go to standard output
	}
	if opts.target != "" {
		err = runTarget(ctx, opts, out)
	} else {
		err = runLab(ctx, opts, out)
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "vmware: interrupted")
		return 130
	}
	fmt.Fprintf(stderr, "vmware: %v\n", err)
	return 1
}

// output has the writers for the kinds of output.
type output struct {
	rows, prose, problems io.Writer
	json                  bool
}

func (o output) printer(list []strategy) printer {
	if o.json {
		return newJSON(o.rows)
	}
	return newTable(o.rows, list)
}

var errUnexpected = errors.New("some rows are not as expected")

// runLab runs all strategies through the box.
func runLab(ctx context.Context, opts options, out output) (err error) {
	network, why := chooseNetwork(ctx, opts.ipv4)
	if why != "" {
		fmt.Fprintf(out.problems, "vmware: %s\n", why)
	}
	l, err := newLab(ctx, network, models[opts.nat])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	sensor, err := l.sensor()
	if err != nil {
		return insteadOfBox(err)
	}
	ssh := findOpenSSH(ctx, l.keys)
	defer func() { err = errors.Join(err, ssh.Close()) }()

	list := strategies(ctx, ssh)
	defer l.observe(ctx, list)()
	fmt.Fprintf(out.prose, "The box on %s is %s.\n", l.loopback(), boxes[opts.nat])
	fmt.Fprintf(out.prose, "It reads the mark of the SYN (of a server, of the SYN-ACK), and later marks with this sensor: %v.\n", sensor)
	if ssh.missing == "" {
		fmt.Fprintf(out.prose, "The default IPQoS of this machine's %s is %q.\n", ssh.name(), ssh.ipqos)
	}
	fmt.Fprintln(out.prose)
	rows, err := each(ctx, list, out.printer(list), l.try)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.prose, "\n%s\n", conclude(rows, opts.nat))
	if opts.verbose {
		printEvidence(out.prose, rows)
	}
	if err := writeFiles(opts.svg, opts.pcap, rows); err != nil {
		return err
	}
	if len(unexpected(rows)) > 0 {
		return errUnexpected
	}
	return nil
}

// insteadOfBox adds to the error that -target works without a box.
func insteadOfBox(err error) error {
	if unsupported, ok := errors.AsType[*dscp.UnsupportedError](err); ok {
		return fmt.Errorf("the box cannot run here (%w); -target host:port works without it, over your network", unsupported)
	}
	return err
}

// each tries the strategies of list one after the other, and prints each row. A strategy
// that an interrupt ends has no row.
func each(ctx context.Context, list []strategy, show printer, try func(context.Context, strategy) (row, error)) ([]row, error) {
	var rows []row
	for _, s := range list {
		r, err := try(ctx, s)
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
		if err != nil {
			return rows, fmt.Errorf("%s: %w", s.name, err)
		}
		if err := show.row(r); err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}
