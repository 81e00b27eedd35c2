package main

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// runTarget runs the strategies that need no server of ours against the HTTP
// server at opts.target, over whatever lies between, and says what that looks
// like.
func runTarget(ctx context.Context, opts options, out output) error {
	// First without a mark: what fails now says nothing about marks.
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
			r.outcome = skipped // by this system, which can be any
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

// reach makes a request without a mark and returns the place that answered it.
// A name may have several addresses; every row shall take the same path.
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
		return "This system cannot set the mark, so nothing can be said about the path."
	case before.outcome == broken:
		return "This path does not behave like VMware's NAT: it breaks a flow that carries 0x48 from its first packet."
	case after.outcome == works:
		return "This path does not behave like VMware's NAT: 0x48 lives on it, whether it is set before connect or after."
	case !after.hung:
		return "This path behaves like VMware's NAT: 0x48 lives if it is on the SYN, and gets the flow reset if it is set after."
	}
	return "This path does not behave quite like VMware's NAT: 0x48 set after connect breaks the flow, but by silence and not by a reset."
}
