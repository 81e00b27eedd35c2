package dscp

import "testing"

// OnHost has the package behave as it does on another operating system, until the
// test ends. No test that marks may run at the same time.
func OnHost(t *testing.T, goos string) { onHost(t, goos) }
