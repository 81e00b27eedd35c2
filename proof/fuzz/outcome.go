package main

import (
	"regexp"
	"strconv"
	"strings"
)

// An outcome is the result of running one target.
type outcome struct {
	target     target
	executions int
	fresh      int // inputs that reach new code
	err        error
	log        string
}

// progress is what a target prints every three seconds, and at the end.
var progress = regexp.MustCompile(`^fuzz: elapsed: \S+, execs: (\d+) \(\d+/sec\), new interesting: (\d+)`)

// parse reads the last count in a run's output.
func parse(text string) (r outcome) {
	for line := range strings.Lines(text) {
		if m := progress.FindStringSubmatch(line); m != nil {
			r.executions, _ = strconv.Atoi(m[1]) // digits, as matched
			r.fresh, _ = strconv.Atoi(m[2])
		}
	}
	return r
}

// ranOut reports whether only the end of -fuzztime ended a run that package testing
// reports as a failure, as it may before Go 1.27 (https://go.dev/issue/75804). A
// failing input is always written to a file.
func ranOut(text string) bool {
	return strings.Contains(text, "\n    context deadline exceeded\n") && !strings.Contains(text, "Failing input written to")
}
