package dscp_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// leftovers counts the goroutines and descriptors of the process.
func leftovers(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return runtime.NumGoroutine() + len(fds)
}

// requireGone waits until no more than before is left over.
func requireGone(t *testing.T, before int) {
	t.Helper()
	patience := time.After(time.Minute)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for leftovers(t) > before {
		select {
		case <-look.C:
		case <-patience:
			stacks := make([]byte, 1<<20)
			t.Fatalf("left behind: %d, was %d before\n%s", leftovers(t), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
