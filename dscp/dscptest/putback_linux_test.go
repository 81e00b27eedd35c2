package dscptest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
	box := dscptest.Config{
		Upstream: serve(t, "127.0.0.1:0", echo),
		Models:   []dscptest.Model{dscptest.VMware},
		Sensor:   dscptest.SocketOption,
	}.NewMiddlebox(t)
	c := dialMarked(t, box.Addr(), dscp.AF21)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	setAndPutBack := func(fd uintptr) { // as a guard does, in one go
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.CS1.TOS()))
		for begin := time.Now(); time.Since(begin) < 20*time.Microsecond; { // long enough to be seen
		}
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.AF21.TOS()))
	}
	var turn sync.Mutex // held by who sends, and by who has a foreign mark in place
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
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
	for range 2000 {
		turn.Lock()
		_, err := c.Write([]byte("x")) // the box may look at the next change
		turn.Unlock()
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
	}
	f := eventually(t, box, func(dscptest.Flow) bool { return true })
	assert.False(t, f.Changed(), "%v", f)
}
