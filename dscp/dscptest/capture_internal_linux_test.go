package dscptest

import (
	"fmt"
	"io"
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

// TestTapBegunAgain has a port used again, long after: what is forgotten then is
// not what has just begun.
func TestTapBegunAgain(t *testing.T) {
	t.Parallel()
	c := &capture{taps: make(map[route]*tap)}
	c.take(aSegment(65535, flagSYN, 1, 0, dscp.EF))
	delete(c.taps, routeOf(65535)) // its connection is over
	for port := range uint16(maxBegun - 2) {
		c.take(aSegment(port, flagSYN, 1, 0, dscp.DF))
		delete(c.taps, routeOf(port))
	}
	c.take(aSegment(65535, flagSYN, 2, 0, dscp.AF21))
	c.take(aSegment(maxBegun, flagSYN, 1, 0, dscp.DF))
	assert.Contains(t, c.taps, routeOf(65535))
	assert.False(t, c.gaps, "nothing was lost")
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
	c.mu.Lock()
	for range ringFrames { // a SYN, and more
		d, err := net.Dial("tcp", to.String())
		require.NoError(t, err)
		d.(*net.TCPConn).SetLinger(0)
		d.Close()
	}
	c.mu.Unlock()
	require.ErrorContains(t, c.close(), "segments were not captured")
	require.NoError(t, c.close(), "it says so once")
}

// chat sends one-byte echoes over a connection of its own to an echo server.
func chat(t *testing.T, address string, times int) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	for range times {
		echoes(t, c)
	}
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	b := []byte("x")
	_, err := c.Write(b)
	require.NoError(t, err)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
}

// echoServer returns the address of a server of one-byte echoes.
func echoServer(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			s, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer s.Close()
				io.Copy(s, s)
			}()
		}
	}()
	return l.Addr().String()
}

var bothLoopbacks = []string{"127.0.0.1:0", "[::1]:0"}

// TestQuietBox has others use the upstream while nobody uses the box.
func TestQuietBox(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, address := range bothLoopbacks {
		t.Run(address, func(t *testing.T) {
			upstream := echoServer(t, address)
			b, err := Config{Upstream: upstream, Sensor: WireEvery}.Start()
			require.NoError(t, err)
			defer b.Close()
			chat(t, upstream, 20000)
			chat(t, b.Addr(), 10)
			for _, f := range b.Flows() {
				assert.NoError(t, f.Err)
			}
			require.NoError(t, b.Close())
		})
	}
}

// strays sends segments of no connection to a box.
func strays(t *testing.T, box string, times int) {
	t.Helper()
	to := netip.MustParseAddrPort(box)
	c, err := net.Dial("ip:tcp", to.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	b := make([]byte, 20) // the checksum is wrong, so that nobody answers
	b[2], b[3], b[12], b[13] = byte(to.Port()>>8), byte(to.Port()), 5<<4, 0x10
	for range times {
		_, err = c.Write(b)
		require.NoError(t, err)
	}
}

// TestFullRings has a client come while a ring is full of the segments of
// others, its SYN lost among them or not: the flow lives, its changes are seen,
// and nothing of it was missed.
func TestFullRings(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, address := range bothLoopbacks {
		for _, tt := range []struct {
			full  string
			fill  func(t *testing.T, upstream, box string)
			early int // bytes that the client sends at once
		}{
			{"clients", func(t *testing.T, _, box string) { strays(t, box, ringFrames) }, 0},
			{"upstream", func(t *testing.T, upstream, _ string) { chat(t, upstream, ringFrames) }, 1},
		} {
			t.Run(address+"/"+tt.full, func(t *testing.T) {
				upstream := echoServer(t, address)
				b, err := Config{Upstream: upstream, Sensor: WireEvery}.Start()
				require.NoError(t, err)
				defer b.Close()
				packets := b.senses.(*linuxSenses).packets
				packets.mu.Lock() // nobody empties the rings
				tt.fill(t, upstream, b.Addr())
				c, err := (&net.Dialer{Control: dscp.Control(dscp.AF21)}).Dial("tcp", b.Addr())
				if err == nil {
					_, err = c.Write(make([]byte, tt.early))
				}
				packets.mu.Unlock()
				require.NoError(t, err)
				defer c.Close()
				_, err = io.ReadFull(c, make([]byte, tt.early))
				require.NoError(t, err)
				require.Eventually(t, func() bool { // the flow has begun
					f := b.Flows()
					return len(f) == 1 && f[0].Answered
				}, 10*time.Second, time.Millisecond)
				echoes(t, c)
				echoes(t, c)
				raw, err := c.(*net.TCPConn).SyscallConn()
				require.NoError(t, err)
				require.NoError(t, b.senses.mark(raw, dscp.EF))
				echoes(t, c)
				require.NoError(t, c.Close())
				require.Eventually(t, func() bool { return b.Flows()[0].Over }, 10*time.Second, time.Millisecond)
				f := b.Flows()[0]
				require.NoError(t, f.Err)
				assert.Equal(t, dscp.AF21, f.SYN)
				require.Len(t, f.Changes, 1, "%v", f)
				assert.Equal(t, fmt.Sprint("client→server: AF21 → EF at byte ", tt.early+2), f.Changes[0].String())
				require.NoError(t, b.Close())
			})
		}
	}
}

// TestLateTap begins in the middle of a connection.
func TestLateTap(t *testing.T) {
	t.Parallel()
	c := &capture{taps: make(map[route]*tap)}
	late := &tap{late: true, vague: true, end: 30}
	c.taps[routeOf(1)] = late
	c.take(aSegment(1, flagSYN, 100, 0, dscp.DF)) // once more
	c.take(aSegment(1, 0x10, 131, 20, dscp.EF))
	c.take(aSegment(1, 0x10, 151, 20, dscp.AF21))
	assert.Same(t, late, c.taps[routeOf(1)])
	assert.Equal(t, []sight{{dscp.EF, 0, 30}, {dscp.AF21, 0, 50}}, late.news)
	assert.EqualValues(t, 70, late.end)
}
