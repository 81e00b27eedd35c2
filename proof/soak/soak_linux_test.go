package main

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/testns"
)

// TestSoak soaks for some seconds. It must not run in parallel: it counts what
// the process has.
func TestSoak(t *testing.T) {
	length := 5 * time.Second
	if testing.Short() {
		length = time.Second
	}
	err := config{length: length, seed: rand.Uint64(), workers: 4, out: t.Output()}.soak()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		testns.Lacks(t, "cannot soak on this system: %v", err)
	}
	require.NoError(t, err)
}
