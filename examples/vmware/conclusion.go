package main

import (
	"fmt"
	"strings"
)

// conclude says in one sentence what the rows teach, or which of them went
// another way than expected.
func conclude(rows []row, nat string) string {
	if odd := unexpected(rows); len(odd) > 0 {
		var names []string
		for _, r := range odd {
			names = append(names, fmt.Sprintf("%q (%s, expected %s)", r.strategy, r.outcome, r.wanted()))
		}
		return "Not as expected: " + strings.Join(names, "; ") + "."
	}
	if nat == natNone {
		return "With nothing in the way every strategy works: it takes a box that looks at the mark to make a change fatal."
	}
	return "Mark before connect or listen and never change it: every flow that changed its precedence was reset, " +
		"and every flow with one mark from its first packet on lived."
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
