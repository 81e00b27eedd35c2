package dscptest

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
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

// TestRingComesFirst has a reader wait for payload without a pause: once it is
// there, the ring has shown it.
func TestRingComesFirst(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for name, address := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", address)
			require.NoError(t, err)
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			s, err := l.Accept()
			require.NoError(t, err)
			defer s.Close()
			raw, err := c.(*net.TCPConn).SyscallConn()
			require.NoError(t, err)
			r, err := openPacketRing(name == "IPv6", fromUpstream(name == "IPv6", addrPort(l.Addr())))
			require.NoError(t, err)
			defer r.file.Close()
			defer r.unmap() //nolint:errcheck // a test's

			const rounds = 20_000
			turn := make(chan struct{})
			go func() {
				for range turn {
					s.Write([]byte{'x'})
				}
			}()
			defer close(turn)
			shown, late := 0, 0
			for n, begin := 1, time.Now(); n <= rounds && time.Since(begin) < 20*time.Second; n++ {
				turn <- struct{}{}
				require.NoError(t, control(raw, func(fd uintptr) error {
					for {
						if _, err := unix.Read(int(fd), make([]byte, 1)); err != unix.EAGAIN {
							return err
						}
					}
				}))
				r.read(func(b []byte) {
					if s, ok := parseSegment(b); ok {
						shown += s.payload
					}
				}, func() { t.Error("nothing was lost") })
				if shown < n {
					late++
				}
			}
			assert.Zero(t, late, "of %d segments TCP had before the ring", rounds)
			assert.Less(t, shown, 2*rounds, "each once")
		})
	}
}
