package dscp_test

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// descriptors counts the open descriptors of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(fds)
}

// leftovers counts the goroutines and descriptors of the process.
func leftovers(t *testing.T) int {
	t.Helper()
	return runtime.NumGoroutine() + descriptors(t)
}

// requireNothingLeft waits until the process has at most before goroutines and
// descriptors.
func requireNothingLeft(t *testing.T, before int) {
	t.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for leftovers(t) > before {
		select {
		case <-tick.C:
		case <-timeout:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and descriptors, %d before\n%s", leftovers(t), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// TestNothingLeaks must not run in parallel: it counts the goroutines and descriptors of
// the process.
func TestNothingLeaks(t *testing.T) {
	trial.Need(t, trial.Inherited)
	l, err := (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	refuse := &net.Dialer{Control: func(string, string, syscall.RawConn) error { return syscall.EPERM }}
	run := func() {
		for _, d := range []*dscp.Dialer{{DSCP: 99}, {DSCP: dscp.AF21, NetDialer: refuse}, {DSCP: dscp.AF21, NetDialer: &net.Dialer{Deadline: time.Unix(1, 0)}}, nil} {
			_, err := d.Dial("tcp", l.Addr().String())
			require.Error(t, err)
		}
		c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		raw, err := c.(*dscp.Conn).SyscallConn()
		require.NoError(t, err)
		require.ErrorIs(t, tos.IPv4TOS.Set(raw, 0x20), dscp.ErrMidFlow) // closes its trial socket
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	}
	run() // opens the descriptors that the runtime keeps
	goroutines := runtime.NumGoroutine()
	var before, after int
	for range 3 { // an earlier test may still be closing sockets
		before = descriptors(t)
		for range 50 {
			run()
		}
		if after = descriptors(t); after >= before {
			break
		}
	}
	require.Equal(t, before, after, "descriptors")
	// Eventually itself starts a few goroutines; a leak would be fifty or more.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < goroutines+10 }, 5*time.Second, time.Millisecond, "goroutines")
}
