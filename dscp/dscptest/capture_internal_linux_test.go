package dscptest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// aSegment returns a segment from a client with this port.
func aSegment(port uint16, flags byte, seq uint32, payload int, cp dscp.CodePoint) []byte {
	b := make([]byte, 40)
	n := 40 + payload
	b[0], b[1], b[2], b[3], b[9] = 0x45, cp.TOS(), byte(n>>8), byte(n), 6
	b[12], b[15], b[16], b[19] = 127, 1, 127, 1
	b[20], b[21] = byte(port>>8), byte(port)
	b[24], b[25], b[26], b[27] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
	b[32], b[33] = 5<<4, flags
	return b
}

func routeOf(port uint16) route {
	a := netip.MustParseAddr("127.0.0.1")
	return route{netip.AddrPortFrom(a, port), netip.AddrPortFrom(a, 0)}
}

// TestTaps has sequence numbers wrap, segments come twice and ports come again.
func TestTaps(t *testing.T) {
	t.Parallel()
	isn := uint32(1<<32 - 10)
	c := &capture{taps: make(map[route]*tap)}
	c.take(aSegment(1, 0x10, 5, 5, dscp.EF)) // from before the box
	assert.Empty(t, c.taps)
	c.take(aSegment(1, flagSYN, isn, 0, dscp.AF21))
	c.take(aSegment(1, 0x10, isn+1, 20, dscp.AF21))
	c.take(aSegment(1, 0x10, isn+21, 20, dscp.EF)) // its number has wrapped
	c.take(aSegment(1, 0x10, isn+21, 20, dscp.EF)) // again
	c.take(aSegment(1, 0x10, isn+11, 10, dscp.CS1))
	c.take(aSegment(1, flagRST, isn+41, 0, dscp.LE))
	got := c.taps[routeOf(1)]
	require.NotNil(t, got)
	assert.Equal(t, dscp.AF21, got.first)
	assert.EqualValues(t, 40, got.end)
	assert.Equal(t, []sight{{dscp.EF, 20, 20}, {dscp.CS1, 10, 10}}, got.news)

	c.take(aSegment(1, flagSYN, isn, 0, dscp.AF21)) // the same SYN again
	assert.Same(t, got, c.taps[routeOf(1)])
	c.take(aSegment(1, flagSYN, 77, 0, dscp.DF)) // another connection
	assert.NotSame(t, got, c.taps[routeOf(1)])
}

// TestTapsAreForgotten bounds what SYNs without a connection leave behind.
func TestTapsAreForgotten(t *testing.T) {
	t.Parallel()
	c := &capture{taps: make(map[route]*tap)}
	c.take(aSegment(65535, flagSYN, 1, 0, dscp.EF))
	c.taps[routeOf(65535)].claimed = true
	for port := range uint16(3 * maxBegun) {
		c.take(aSegment(port, flagSYN, 1, 0, dscp.DF))
	}
	assert.Len(t, c.taps, maxBegun+1)
	assert.Contains(t, c.taps, routeOf(65535), "a connection has it")
}

// TestTapsAreReleased has flows leave nothing behind.
func TestTapsAreReleased(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	b := Config{Upstream: l.Addr().String(), Sensor: WireEvery}.NewMiddlebox(t)
	for range 10 {
		c, err := net.Dial("tcp", b.Addr())
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		c.Close()
		s.Close()
	}
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.records) == 10 && len(b.live) == 0
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, b.Close())
	assert.Empty(t, b.senses.(*linuxSenses).packets.taps)
}

// TestCaptureOwnsUp fills the ring while nobody reads it.
func TestCaptureOwnsUp(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	to := addrPort(l.Addr())
	c, err := openCapture(false, to.Port(), netip.MustParseAddrPort("127.0.0.1:1"))
	require.NoError(t, err)
	go func() {
		for {
			s, err := l.Accept()
			if err != nil {
				return
			}
			s.Close()
		}
	}()
	for range ringFrames { // a SYN, and more
		d, err := net.Dial("tcp", to.String())
		require.NoError(t, err)
		d.(*net.TCPConn).SetLinger(0)
		d.Close()
	}
	require.ErrorContains(t, c.close(), "segments were not captured")
	require.NoError(t, c.close(), "it says so once")
}

// FuzzParseSegment feeds the parser what is no segment.
func FuzzParseSegment(f *testing.F) {
	f.Add(aSegment(1, flagSYN, 1, 0, dscp.EF))
	f.Add([]byte{0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &capture{taps: make(map[route]*tap)}
		c.take(b)
		if s, ok := parseSegment(b); ok && (s.payload < 0 || s.mark > 63) {
			t.Errorf("%+v", s)
		}
	})
}
