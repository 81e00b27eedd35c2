package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// A result is the result of one mutation.
type result struct {
	mutation
	killer string // the test that failed; empty if the mutation survived
	err    error  // why it could not be tried
}

func (r result) String() string {
	s := r.part + ": " + r.rule + ": " + r.how
	switch {
	case r.err != nil:
		return "ERROR " + s + ": " + r.err.Error()
	case r.killer == "":
		return "SURVIVED " + s
	case r.killer != r.test:
		return "killed by " + r.killer + ", not by " + r.test + ": " + s
	}
	return "killed by " + r.killer + ": " + s
}

// wrong returns an error if a mutation survived, or could not be tried.
func wrong(results []result) error {
	var errs []error
	for _, r := range results {
		if r.err != nil || r.killer == "" {
			errs = append(errs, errors.New(r.String()))
		}
	}
	return errors.Join(errs...)
}

// firstFailure finds the name of the test that failed first in the output of a
// test binary.
func firstFailure(out string) string {
	var running bool // the tests that a timeout names follow
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
		if running {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, _, _ = strings.Cut(name, "/")
			return name
		}
		running = strings.TrimSpace(line) == "running tests:"
	}
	return ".*" // a panic outside of tests
}

// writeMarkdown writes one table for each part.
func writeMarkdown(w io.Writer, results []result) {
	part, killed := "", 0
	for _, r := range results {
		if r.part != part {
			part = r.part
			fmt.Fprintf(w, "\n**%s**\n\n| rule | broken by | test that fails |\n|---|---|---|\n", part)
		}
		killer := "`" + r.killer + "`"
		switch {
		case r.err != nil:
			killer = "**error**"
		case r.killer == "":
			killer = "**none**"
		default:
			killed++
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", cell(r.rule), cell(r.how), killer)
	}
	fmt.Fprintf(w, "\n%d mutations, %d killed.\n", len(results), killed)
}

// cell escapes what would end a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
