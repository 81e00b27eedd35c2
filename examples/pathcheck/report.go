package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// printReport writes the diagnosis of one target as text, in one write.
func printReport(out io.Writer, t target, d diagnosis) error {
	w := new(bytes.Buffer)
	where := t.text
	if t.addr.IsValid() {
		where += fmt.Sprintf(" (%s over %v)", t.scheme, t.addr)
	}
	fmt.Fprintf(w, "%s: %s", where, d.state)
	if d.why != "" {
		fmt.Fprintf(w, ": %s", d.why)
	}
	fmt.Fprintf(w, "\n  trials: %s; unmarked controls: %s\n", failedOf(d.trials), failedOf(d.controls))
	for _, f := range d.findings {
		fmt.Fprintf(w, "  %s\n", f.text)
		for _, t := range f.shown {
			fmt.Fprintf(w, "    %-18v %s: %v; by chance: %s\n", t.probe, failedOf(t), t.err, oneIn(byChance(t, d.controls)))
		}
	}
	for _, t := range d.unsure {
		fmt.Fprintf(w, "  uncertain: %v: %s, the last with: %v\n", t.probe, failedOf(t), t.err)
	}
	printArrivals(w, d)
	for _, note := range d.notes {
		fmt.Fprintf(w, "  note: %s\n", note)
	}
	if d.cure.ssh != "" {
		fmt.Fprintf(w, "  in ssh_config:     %s\n", d.cure.ssh)
	}
	if d.cure.dialer != "" {
		fmt.Fprintf(w, "  in a Go program:   %s\n", d.cure.dialer)
	}
	_, err := w.WriteTo(out)
	return err
}

func printArrivals(w io.Writer, d diagnosis) {
	if len(d.arrivals) == 0 {
		return
	}
	if d.rewrites == "" {
		if !slices.ContainsFunc(d.findings, func(f finding) bool { return len(f.seen) > 0 }) {
			fmt.Fprintf(w, "  all marks arrive unchanged\n")
		}
		return
	}
	fmt.Fprintf(w, "  marks are rewritten: %s (RFC 9435)\n", d.rewrites)
	var how []string
	for _, a := range d.arrivals {
		how = append(how, fmt.Sprintf("%v as %v", a.sent, a.got))
	}
	fmt.Fprintf(w, "    %s\n", strings.Join(how, ", "))
}

func failedOf(t tally) string { return fmt.Sprintf("%d of %d failed", t.failed(), t.total()) }

// oneIn formats a probability.
func oneIn(p float64) string {
	if p > 0.5 {
		return "likely"
	}
	return fmt.Sprintf("1 in %.0f", math.Floor(1/p))
}
