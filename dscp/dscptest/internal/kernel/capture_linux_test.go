package kernel

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
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

// take calls c.take with a packet whose payload was cut off.
func take(c *capture, b []byte) {
	c.take(packet.Capture{Data: b, Length: int(b[2])<<8 | int(b[3])})
}

func routeOf(port uint16) route {
	a := netip.MustParseAddr("127.0.0.1")
	return route{netip.AddrPortFrom(a, port), netip.AddrPortFrom(a, 0)}
}

// TestCaptureFollowsSequenceNumbers has sequence numbers that wrap, segments that come
// twice, and ports that are used again.
func TestCaptureFollowsSequenceNumbers(t *testing.T) {
	t.Parallel()
	isn := uint32(1<<32 - 10)
	c := &capture{flows: make(map[route]*capturedFlow)}
	take(c, aSegment(1, 0x10, 5, 5, dscp.EF)) // from before the box
	assert.Empty(t, c.flows)
	take(c, aSegment(1, byte(packet.SYN), isn, 0, dscp.AF21))
	take(c, aSegment(1, 0x10, isn+1, 20, dscp.AF21))
	take(c, aSegment(1, 0x10, isn+21, 20, dscp.EF)) // its number has wrapped
	take(c, aSegment(1, 0x10, isn+21, 20, dscp.EF)) // again
	take(c, aSegment(1, 0x10, isn+11, 10, dscp.CS1))
	take(c, aSegment(1, byte(packet.RST), isn+41, 0, dscp.LE))
	got := c.flows[routeOf(1)]
	require.NotNil(t, got)
	assert.Equal(t, dscp.AF21, got.first)
	assert.EqualValues(t, 40, got.end)
	assert.Equal(t, []Observation{{dscp.EF, 20, 20}, {dscp.CS1, 10, 10}}, got.pending)

	take(c, aSegment(1, byte(packet.SYN), isn, 0, dscp.AF21)) // the same SYN again
	assert.Same(t, got, c.flows[routeOf(1)])
	take(c, aSegment(1, byte(packet.SYN), 77, 0, dscp.DF)) // another connection
	assert.NotSame(t, got, c.flows[routeOf(1)])
}

// TestCaptureForgetsUnclaimedSYNs checks that a capture keeps a limited number of SYNs
// without a connection.
func TestCaptureForgetsUnclaimedSYNs(t *testing.T) {
	t.Parallel()
	c := &capture{flows: make(map[route]*capturedFlow)}
	take(c, aSegment(65535, byte(packet.SYN), 1, 0, dscp.EF))
	c.flows[routeOf(65535)].claimed = true
	for port := range uint16(3 * maxSYNs) {
		take(c, aSegment(port, byte(packet.SYN), 1, 0, dscp.DF))
	}
	assert.Len(t, c.flows, maxSYNs+1)
	assert.Contains(t, c.flows, routeOf(65535), "a connection has it")
}

// TestCaptureKeepsReusedRoute has a port used again much later. The capture then removes
// the old SYN, not the new flow.
func TestCaptureKeepsReusedRoute(t *testing.T) {
	t.Parallel()
	c := &capture{flows: make(map[route]*capturedFlow)}
	take(c, aSegment(65535, byte(packet.SYN), 1, 0, dscp.EF))
	delete(c.flows, routeOf(65535)) // its connection is over
	for port := range uint16(maxSYNs - 2) {
		take(c, aSegment(port, byte(packet.SYN), 1, 0, dscp.DF))
		delete(c.flows, routeOf(port))
	}
	take(c, aSegment(65535, byte(packet.SYN), 2, 0, dscp.AF21))
	take(c, aSegment(maxSYNs, byte(packet.SYN), 1, 0, dscp.DF))
	assert.Contains(t, c.flows, routeOf(65535))
	assert.False(t, c.lostSYNs, "nothing was lost")
}

// TestCaptureWithoutSYN begins in the middle of a connection.
func TestCaptureWithoutSYN(t *testing.T) {
	t.Parallel()
	c := &capture{flows: make(map[route]*capturedFlow)}
	late := &capturedFlow{noSegment: true, inexact: true, end: 30}
	c.flows[routeOf(1)] = late
	take(c, aSegment(1, byte(packet.SYN), 100, 0, dscp.DF)) // once more
	take(c, aSegment(1, 0x10, 131, 20, dscp.EF))
	take(c, aSegment(1, 0x10, 151, 20, dscp.AF21))
	assert.Same(t, late, c.flows[routeOf(1)])
	assert.Equal(t, []Observation{{dscp.EF, 0, 30}, {dscp.AF21, 0, 50}}, late.pending)
	assert.EqualValues(t, 70, late.end)
}

// TestCaptureReportsDrops fills the ring while it is not read.
func TestCaptureReportsDrops(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	to := AddrPort(l.Addr())
	c, err := openCapture(false, to.Port(), netip.MustParseAddrPort("127.0.0.1:1"), true)
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
	for range RingFrames { // a SYN, and more
		d, err := net.Dial("tcp", to.String())
		require.NoError(t, err)
		d.(*net.TCPConn).SetLinger(0)
		d.Close()
	}
	c.mu.Unlock()
	require.ErrorContains(t, c.close(), "segments were not captured")
	require.NoError(t, c.close(), "only the first call returns the error")
}

// FuzzCapture takes segments in any order, from several connections at once.
func FuzzCapture(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x01\x12\x00\x10\x01\x05\x12\x00\x10\x06\x05\x2e"))
	f.Add([]byte("\x01\x02\xff\x00\x00\x01\x10\x03\xff\x2e\x01\x04\x00\x00\x00\x01\x02\x07\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		c := &capture{flows: make(map[route]*capturedFlow)}
		first := map[route]dscp.CodePoint{}
		for ; len(script) >= 5; script = script[5:] {
			port, flags, cp := uint16(script[0]&3), script[1], dscp.CodePoint(script[4]&63)
			seq := uint32(int32(int8(script[2]))) << (script[0] >> 4 * 4) // wraps now and then
			b := aSegment(port, flags, seq, int(script[3]), cp)
			known := c.flows[routeOf(port)]
			take(c, b)
			f := c.flows[routeOf(port)]
			if f != known {
				require.NotZero(t, flags&byte(packet.SYN), "only a SYN begins a flow")
				first[routeOf(port)] = cp
			}
			if known != nil && flags&(byte(packet.SYN)|byte(packet.RST)) == 0 {
				require.Equal(t, cp, known.mark, "the latest mark")
			}
		}
		require.LessOrEqual(t, len(c.syns), maxSYNs)
		for r, f := range c.flows {
			require.Equal(t, first[r], f.first)
			require.LessOrEqual(t, len(f.pending), maxPending)
			was := f.first
			for _, s := range f.pending {
				require.NotEqual(t, was, s.Mark, "no change")
				require.True(t, s.From == s.To && s.From >= 0 && s.To <= f.end)
				was = s.Mark
			}
			if len(f.pending) < maxPending {
				require.Equal(t, f.mark, was)
			}
		}
	})
}

// TestRouteInterfaceIsThatOfTheAddress finds the interface of routes that exist and of
// one that does not.
func TestRouteInterfaceIsThatOfTheAddress(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	here, there := testns.Current(t), testns.New(t)
	testns.Connect(
		testns.End{Net: here, Name: "near", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}},
		testns.End{Net: there, Name: "far"})
	near, err := net.InterfaceByName("near")
	require.NoError(t, err)
	for upstream, want := range map[string]int{
		"192.0.2.2:80": near.Index, "[2001:db8::2]:80": near.Index, "127.0.0.1:80": 0, "198.51.100.1:80": 0,
	} {
		assert.Equal(t, want, routeInterface(netip.MustParseAddrPort(upstream)), upstream)
	}
}
