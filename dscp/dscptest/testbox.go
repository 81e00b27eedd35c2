package dscptest

import (
	"errors"
	"os"
	"testing"

	"github.com/godscp/godscp/dscp"
)

// NewMiddlebox starts a box before upstream and closes it when the test ends.
// Flows with the verdict [Report] fail the test then, and so does a model that
// panicked.
//
// Where the operating system cannot sense marks the test is skipped with the
// reason, or fails if the environment variable CI is set. Any other failure to
// start is fatal.
func NewMiddlebox(tb testing.TB, upstream string, models ...Model) *Middlebox {
	if tb == nil {
		panic("dscptest: NewMiddlebox needs a testing.TB; programs use Start")
	}
	tb.Helper()
	b, err := Start(upstream, models...)
	if err != nil {
		stop(tb, err)
		return nil
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
		for _, f := range b.Flows() {
			complain(tb, f)
		}
	})
	return b
}

// stop ends the test for want of a box.
func stop(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*dscp.UnsupportedError](err); ok && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	tb.Fatal(err)
}

// complain fails the test for what a flow should not have done.
func complain(tb testing.TB, f Flow) {
	tb.Helper()
	if f.Verdict == Report {
		tb.Errorf("%v", f)
	}
	if p, ok := errors.AsType[*panicError](f.Err); ok {
		tb.Error(p)
	}
}
