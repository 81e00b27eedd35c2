package main

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// runTarget runs the target strategies with the HTTP server at opts.target, and compares
// the path to it with VMware's NAT.
func runTarget(ctx context.Context, opts options, out output) error {
	// First without a mark: an error here does not depend on marks.
	p, err := reach(ctx, opts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s does not answer, even without a mark: %s", opts.target, words(err))
	}

	list := targetStrategies()
	rows, err := each(ctx, list, out.printer(list), func(ctx context.Context, s strategy) (row, error) {
		r := attempt(ctx, s.run, p)
		if errors.Is(r.err, errors.ErrUnsupported) {
			r.outcome = skipped // this system cannot set marks
		}
		timeout, ok := errors.AsType[net.Error](r.err)
		return row{
			strategy: s.name, syn: r.first, after: r.last, marks: between(r.first, r.last), hung: ok && timeout.Timeout(),
			program: r.said, outcome: r.outcome, expected: anything,
		}, nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out.prose, "\n%s\n", judge(rows[0], rows[1]))
	return nil
}

// reach makes a request without a mark and returns the place that answered. The name may
// have several addresses; all rows use the one that answered.
func reach(ctx context.Context, opts options) (place, error) {
	p := place{network: "tcp", addr: opts.target, host: opts.target}
	if opts.ipv4 {
		p.network = "tcp4"
	}
	var answered string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := plain(ctx, network, address)
		if err == nil {
			answered = c.RemoteAddr().String()
		}
		return c, err
	}
	r := attempt(ctx, client{dial: dial, work: getHTTP}.run, p)
	p.addr = answered
	return p, r.err
}

func attempt(ctx context.Context, run func(context.Context, place) result, p place) result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return run(ctx, p)
}

// judge compares the path with VMware's NAT by the two published scripts.
func judge(before, after row) string {
	switch {
	case before.outcome == skipped || after.outcome == skipped:
		return "This system cannot set the mark, so the path could not be tested."
	case before.outcome == broken:
		return "This path does not behave like VMware's NAT: it breaks a flow with 0x48 from the first packet on."
	case after.outcome == works:
		return "This path does not behave like VMware's NAT: a flow with 0x48 survives, set before connect or after."
	case !after.hung:
		return "This path behaves like VMware's NAT: a flow with 0x48 on the SYN survives, and one that sets 0x48 after connect is reset."
	}
	return "This path does not behave exactly like VMware's NAT: a flow that sets 0x48 after connect breaks, but by a timeout instead of a reset."
}
