// Package testns runs a test in new network namespaces.
//
// In a namespace any user can capture packets, set the kernel's network parameters and
// build routers without changing the machine. The traffic of a test that runs [Inside]
// a namespace cannot leave it. [New] makes further namespaces, and [Connect] connects
// two with a cable.
package testns

import (
	"os"
	"testing"
)

// marker names the environment variable that tells a re-executed test binary
// which test it was started for.
const marker = "GODSCP_TESTNS"

// Inside runs the calling test in a new network namespace. Begin the test with
//
//	if !testns.Inside(t) {
//		return
//	}
//
// In the process that go test started, Inside executes the test binary again in a new
// namespace, for this test alone, waits for it, and returns false. It has passed the
// output to t.Log then, and t fails or is skipped if the child did or was. In the child
// Inside brings the loopback interface up and returns true. The namespace and all that
// was made in it end with the child.
//
// Root gets a network namespace. Other users get a network namespace in a user
// namespace, in which the test is root. If the system permits neither, t is skipped
// with the reason, or fails if CI is set (see [Lacks]). t must be a top-level test.
func Inside(t *testing.T) bool {
	t.Helper()
	return InsideFrom(t, func(run func()) error {
		run()
		return nil
	})
}

// InsideFrom is [Inside] for a child that inherits something from the thread that
// starts it: from prepares the calling thread, to which the goroutine is locked, and
// calls run there. run returns when the child has ended. InsideFrom treats an error of
// from like one of making the namespace.
func InsideFrom(t *testing.T, from func(run func()) error) bool {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		enter(t)
		return true
	}
	reexec(t, from)
	return false
}

// Lacks ends a test that cannot run on this system. It skips the test with the reason.
// If the environment variable CI is set, it fails the test instead, so that a test does
// not stop running there unnoticed.
func Lacks(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
