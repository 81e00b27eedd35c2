package packet

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

// TestReadWaitsForUnfinishedFrame has one processor fill the last frame of the ring after
// another has filled the first.
func TestReadWaitsForUnfinishedFrame(t *testing.T) {
	t.Parallel()
	const count = 256
	r := &Ring{frames: make([]byte, count*frameSize), count: count, next: count - 1}
	fill := func(i int) func() {
		b, h := r.Frame(i)
		return func() {
			h.Net, h.Snaplen = 80, 1
			b[80] = byte(i)
			atomic.StoreUint32(&h.Status, unix.TP_STATUS_USER)
		}
	}
	fill(1)()
	time.AfterFunc(20*time.Millisecond, fill(0))
	var got []byte
	r.Read(func(c Capture) { got = append(got, c.Data...) }, func() { t.Error("the ring has lost packets") })
	assert.Equal(t, []byte{0, 1}, got)
}

// fromPort returns a filter for TCP segments from a port.
func fromPort(v6 bool, a net.Addr) []bpf.Instruction {
	port := uint32(a.(*net.TCPAddr).Port)
	offset, header := uint32(20), uint32(0x45)
	if v6 {
		offset, header = 40, 0x60
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: header, SkipTrue: 3},
		bpf.LoadAbsolute{Off: offset, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: port, SkipTrue: 1},
		bpf.RetConstant{Val: SnapLength},
		bpf.RetConstant{Val: 0},
	}
}

// TestRingHasSegmentBeforeTCP polls for payload: once it can be read, the ring has its
// segment.
func TestRingHasSegmentBeforeTCP(t *testing.T) {
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
			r, err := OpenRing(RingConfig{Frames: 8192, Filter: fromPort(name == "IPv6", l.Addr()), Incoming: true})
			require.NoError(t, err)
			defer r.Close()
			defer r.Unmap()

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
				var readErr error
				require.NoError(t, raw.Control(func(fd uintptr) {
					for readErr = unix.EAGAIN; readErr == unix.EAGAIN; {
						_, readErr = unix.Read(int(fd), make([]byte, 1))
					}
				}))
				require.NoError(t, readErr)
				r.Read(func(c Capture) {
					if p, ok := Parse(c.Data, c.Length); ok {
						shown += p.Len
					}
				}, func() { t.Error("the ring has lost packets") })
				if shown < n {
					late++
				}
			}
			assert.Zero(t, late, "of %d segments TCP had before the ring", rounds)
			assert.Less(t, shown, 2*rounds, "each once")
		})
	}
}
