package dscptest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestPutBackIsNotBlamed sets and puts back the option of an IPv4 connection
// and sends only under its own mark, while the box keeps looking: what an
// option was for a moment is not what was sent. (On IPv6 the box reads what was
// sent, acknowledgements among it.)
func TestPutBackIsNotBlamed(t *testing.T) {
	t.Parallel()
	// A hundred looks fit into no moment that is shorter.
	const moment = 25 * time.Millisecond
	for range 3 {
		f, longest := putBack(t)
		if !f.Changed() {
			return
		}
		require.Greater(t, longest, moment, "a moment was taken for a change: %v", f)
	}
	t.Error("three times the machine stood still under a foreign mark")
}

// putBack returns what the box has seen, and how long a foreign mark was in place
// at most.
func putBack(t *testing.T) (f dscptest.Flow, longest time.Duration) {
	t.Helper()
	box := dscptest.Config{
		Upstream: serve(t, "127.0.0.1:0", echo),
		Models:   []dscptest.Model{dscptest.VMware},
		Sensor:   dscptest.SocketOption,
	}.NewMiddlebox(t)
	c := dialMarked(t, box.Addr(), dscp.AF21)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	setAndPutBack := func(fd uintptr) { // as a guard does, in one go
		begin := time.Now()
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.CS1.TOS()))
		for set := time.Now(); time.Since(set) < 20*time.Microsecond; { // long enough to be seen
		}
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.AF21.TOS()))
		longest = max(longest, time.Since(begin))
	}
	var turn sync.Mutex // held by who sends, and by who has a foreign mark in place
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	defer end()
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Microsecond): // or half of all lost time slices are lost under a foreign mark
			}
			turn.Lock()
			raw.Control(setAndPutBack)
			turn.Unlock()
		}
	})
	for n := 0; n < 2000 && err == nil; n++ {
		turn.Lock()
		_, err = c.Write([]byte("x")) // the box may look at the next change
		turn.Unlock()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	end()
	f = eventually(t, box, func(dscptest.Flow) bool { return true })
	if !f.Changed() {
		require.NoError(t, err)
	}
	return f, longest
}
