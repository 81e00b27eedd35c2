package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A row is a package's row in the table. A test and its subtests count as one.
type row struct {
	pkg                      string
	dialed, accepted, bound  int // sockets with the mark
	unmarked                 int // sockets with another one
	passed, skipped, leftOut int
	failed                   []string // bare, or both ways
}

func (r *runner) row(pkg string, c comparison) (row, error) {
	tally, err := os.ReadFile(r.tallies[pkg])
	if err != nil {
		return row{}, err
	}
	count := func(letter string) int { return bytes.Count(tally, []byte(letter)) }
	out := row{pkg: pkg, dialed: count("d"), accepted: count("a"), bound: count("l"), unmarked: count("!")}
	for key := range c.bare {
		if key != whole(key) || !strings.HasPrefix(key, pkg+" ") {
			continue
		}
		switch {
		case isLeftOut(key):
			out.leftOut++
		case c.bare[key] == "fail":
			out.failed = append(out.failed, strings.TrimPrefix(key, pkg+" "))
		case c.marked[key] == "pass":
			out.passed++
		case c.marked[key] == "skip":
			out.skipped++
		}
	}
	return out, nil
}

// add adds the counts of another row.
func (r *row) add(o row) {
	r.dialed += o.dialed
	r.accepted += o.accepted
	r.bound += o.bound
	r.passed += o.passed
	r.skipped += o.skipped
	r.failed = append(r.failed, o.failed...)
	r.leftOut += o.leftOut
}

func (r row) print() {
	fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %d |\n", r.pkg, r.dialed, r.accepted, r.bound, r.passed, r.skipped, len(r.failed), r.leftOut)
}

// report prints the tables and returns an error for what fails.
func report(rows []row, worse, again []string) error {
	var errs []error
	fmt.Println("| package | dialled | accepted | listeners, packet sockets | tests passed | skipped | fail bare | left out |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
	all := row{pkg: "**all**"}
	for _, r := range rows {
		all.add(r)
		r.print()
		if r.dialed+r.accepted+r.bound == 0 {
			errs = append(errs, fmt.Errorf("%s: no socket was made through package dscp", r.pkg))
		}
		if r.passed == 0 {
			errs = append(errs, fmt.Errorf("%s: no test passed", r.pkg))
		}
		if r.unmarked > 0 {
			errs = append(errs, fmt.Errorf("%s: %d sockets came up without the mark", r.pkg, r.unmarked))
		}
	}
	all.print()
	fmt.Println()
	for _, r := range rows {
		if len(r.failed) > 0 {
			fmt.Printf("Fail bare in %s: %s.\n", r.pkg, strings.Join(r.failed, ", "))
		}
	}
	for _, l := range leftOuts {
		if slices.ContainsFunc(rows, func(r row) bool { return r.pkg == l.pkg }) {
			fmt.Printf("Left out: %s %s: %s.\n", l.pkg, l.test, l.why)
		}
	}
	if len(again) > 0 {
		fmt.Printf("Passed at the second attempt: %s.\n", strings.Join(again, ", "))
	}
	for _, key := range worse {
		errs = append(errs, fmt.Errorf("passes bare and not marked: %s", key))
	}
	return errors.Join(errs...)
}
