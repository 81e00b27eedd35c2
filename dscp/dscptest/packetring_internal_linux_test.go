package dscptest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// TestOvertakenFrame has one processor fill the last frame of the ring only
// after another has filled the first.
func TestOvertakenFrame(t *testing.T) {
	t.Parallel()
	r := &packetRing{frames: make([]byte, ringFrames*frameSize), next: ringFrames - 1}
	fill := func(i int) func() {
		b, h := r.frame(i)
		return func() {
			h.Net, h.Snaplen = 80, 1
			b[80] = byte(i)
			atomic.StoreUint32(&h.Status, unix.TP_STATUS_USER)
		}
	}
	fill(1)()
	time.AfterFunc(20*time.Millisecond, fill(0))
	var got []byte
	r.read(func(b []byte) { got = append(got, b...) }, func() { t.Error("nothing was lost") })
	assert.Equal(t, []byte{0, 1}, got)
}
