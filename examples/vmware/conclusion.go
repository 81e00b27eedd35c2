package main

import (
	"fmt"
	"strings"
)

// conclude returns a sentence about the result of all rows, or about the rows that are
// not as expected.
func conclude(rows []row, nat string) string {
	if odd := unexpected(rows); len(odd) > 0 {
		var names []string
		for _, r := range odd {
			names = append(names, fmt.Sprintf("%q (%s, expected %s)", r.strategy, r.outcome, r.wanted()))
		}
		return "Not as expected: " + strings.Join(names, "; ") + "."
	}
	if nat == natNone {
		return "Without a NAT every strategy works: a change of the mark breaks a flow only if a box on the path checks marks."
	}
	return "Set the mark before connect or listen and never change it: every flow that changed its IP precedence was reset, " +
		"and every flow that kept one mark from its first packet on survived."
}

func unexpected(rows []row) []row {
	var odd []row
	for _, r := range rows {
		if !r.ok() {
			odd = append(odd, r)
		}
	}
	return odd
}
