package dscptest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godscp/godscp/dscp"
)

// NewMiddlebox starts a box before upstream and closes it when the test ends.
// Flows about which a model said [Report] fail the test then, and so does a model that
// panicked.
//
// Where the operating system cannot sense marks the test is skipped with the
// reason, or fails if the environment variable CI is set. Any other failure to
// start is fatal.
//
// It is short for [Config.NewMiddlebox] with an Upstream and Models.
func NewMiddlebox(tb testing.TB, upstream string, models ...Model) *Middlebox {
	if tb != nil {
		tb.Helper()
	}
	return Config{Upstream: upstream, Models: models}.NewMiddlebox(tb)
}

// NewMiddlebox starts the box for a test, which it treats as the function
// [NewMiddlebox] does.
func (c Config) NewMiddlebox(tb testing.TB) *Middlebox {
	if tb == nil {
		panic("dscptest: NewMiddlebox needs a testing.TB; programs use Start")
	}
	tb.Helper()
	b, err := c.Start()
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

// stop ends the test for want of a box or a SYN: where the system lacks
// something it is skipped, unless CI is set.
func stop(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*dscp.UnsupportedError](err); ok {
		lacks(tb, err)
		return
	}
	tb.Fatal(err)
}

// lacks skips the test for what the system lacks, or fails it under CI.
func lacks(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") == "" {
		tb.Skip(err)
		return
	}
	tb.Fatalf("%v (a test may be skipped for this, but not where CI is set)", err)
}

// complain fails the test for what a flow should not have done.
func complain(tb testing.TB, f Flow) {
	tb.Helper()
	if f.Reported != "" {
		tb.Error(complaint(f))
	}
	if p, ok := errors.AsType[*panicError](f.Err); ok {
		tb.Error(p)
	}
}

// complaint tells what a flow showed, in order.
func complaint(f Flow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dscptest: flow %d, %v → %v: %s\n", f.ID, f.Client, f.Upstream, f.Reported)
	fmt.Fprintf(&b, "\tbegan with %v", f.SYN)
	if f.Answered {
		fmt.Fprintf(&b, ", was answered with %v", f.SYNACK)
	}
	for _, c := range f.Changes {
		fmt.Fprintf(&b, "\n\t%v after %v", c, c.At.Sub(f.Start).Round(time.Microsecond))
		if c.Reason != "" {
			fmt.Fprintf(&b, " (%s)", c.Reason)
		}
	}
	return b.String()
}
