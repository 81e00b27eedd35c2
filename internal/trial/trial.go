// Package trial finds out by trying what a test can expect of the system that it runs
// on. A system is not asked for its name: gVisor says that it is Linux, and Wine that
// it is Windows. A trial that could not be made shows nothing, so its test runs.
package trial

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/godscp/godscp/internal/testns"
)

// Need ends a test as [testns.Lacks] does if a trial has shown that the system lacks
// what the test needs. The trials are functions of this package, or a test's own: they
// return why the system lacks something, or nil.
func Need(tb testing.TB, trials ...func() error) {
	tb.Helper()
	for _, try := range trials {
		if err := try(); err != nil {
			testns.Lacks(tb, "%v", err)
		}
	}
}

// Supported is the trial that a test has made itself, with err as its result: the system
// lacks something if err matches [errors.ErrUnsupported]. Any other error shows nothing.
func Supported(err error) func() error {
	return func() error {
		if errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		return nil
	}
}

// NeedExamples leaves examples out of the run if a trial has shown that the system
// lacks what they need: an example cannot skip itself. It is for TestMain, after
// flag.Parse. Where the variable CI is set the examples run, and fail.
func NeedExamples(try func() error, examples ...string) {
	skip, run := flag.Lookup("test.skip").Value, flag.Lookup("test.run").Value.String()
	if os.Getenv("CI") != "" || run != "" && !strings.Contains(run, "Example") {
		return
	}
	err := try()
	if err == nil {
		return
	}
	pattern := "^(" + strings.Join(examples, "|") + ")$"
	if before := skip.String(); before != "" {
		pattern = before + "|" + pattern
	}
	if skip.Set(pattern) != nil || !testing.Verbose() {
		return
	}
	for _, name := range examples { // as package testing tells of a skipped test
		fmt.Printf("=== RUN   %s\n    trial.go:1: %v\n--- SKIP: %s (0.00s)\n", name, err, name)
	}
}

// once has a trial made once.
func once(try func() error) func() error { return sync.OnceValue(try) }
