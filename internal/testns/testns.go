// Package testns gives a test network namespaces of its own.
//
// A namespace lets any user capture packets, set the kernel's network
// parameters and build routers without touching the machine: the traffic of a
// test that runs [Inside] one cannot leave it. [New] makes further namespaces,
// [Connect] joins two with a cable.
package testns

import (
	"os"
	"testing"
)

// marker names the environment variable that tells a re-executed test binary
// which test it was started for.
const marker = "GODSCP_TESTNS"

// Inside runs the calling test in a network namespace of its own. Begin the
// test with
//
//	if !testns.Inside(t) {
//		return
//	}
//
// In the process that go test started, Inside executes the test binary again
// in a new namespace, for this test alone, waits for it, and returns false:
// the output has gone to t.Log, and the failure or the skip of the child is
// the failure or the skip of t. In the child it brings the loopback interface
// up and returns true. The namespace and all that was made in it vanish with
// the child.
//
// Root gets a network namespace, anybody else a network namespace in a user
// namespace, in which the test is root. Where the system permits neither, t is
// skipped with the reason, or fails under CI (see [Lacks]). t must be a
// top-level test.
func Inside(t *testing.T) bool {
	t.Helper()
	return InsideFrom(t, func(run func()) error {
		run()
		return nil
	})
}

// InsideFrom is [Inside] for a child that is to inherit something from the
// thread that starts it: from prepares the thread that it is called on, which
// is locked to the goroutine, and calls run there. run returns when the child
// has ended. The error of from is taken for one of making the namespace.
func InsideFrom(t *testing.T, from func(run func()) error) bool {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		enter(t)
		return true
	}
	reexec(t, from)
	return false
}

// Lacks ends a test that cannot run here. On a developer's machine that is a
// skip with the reason. Where the variable CI is set it is a failure, so that
// a proof cannot vanish from there without anybody noticing.
func Lacks(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
