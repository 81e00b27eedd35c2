package dscp

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
)

// TestNothingLeaks must not run in parallel: it counts what the process has.
func TestNothingLeaks(t *testing.T) {
	l := listenOn(t, &ListenConfig{DSCP: EF}, "127.0.0.1:0")
	refuse := &net.Dialer{Control: func(string, string, syscall.RawConn) error { return syscall.EPERM }}
	run := func() {
		for _, d := range []*Dialer{{DSCP: 99}, {DSCP: AF21, NetDialer: refuse}, {DSCP: AF21, NetDialer: &net.Dialer{Deadline: time.Unix(1, 0)}}, nil} {
			_, err := d.Dial("tcp", l.Addr().String())
			require.Error(t, err)
		}
		c, err := (&Dialer{DSCP: AF21}).Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		raw, err := c.(*Conn).SyscallConn()
		require.NoError(t, err)
		require.ErrorIs(t, tos.IPv4TOS.Set(raw, 0x20), ErrMidFlow) // leaves no trial socket
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	}
	run() // whatever the runtime opens once
	goroutines := runtime.NumGoroutine()
	var before, after int
	for range 3 { // a dial of a test before may close its last sockets meanwhile, once
		before = openFDs(t)
		for range 50 {
			run()
		}
		if after = openFDs(t); after >= before {
			break
		}
	}
	require.Equal(t, before, after, "descriptors")
	// Eventually itself uses a few; a leak would be fifty or more.
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < goroutines+10 }, 5*time.Second, time.Millisecond, "goroutines")
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}
