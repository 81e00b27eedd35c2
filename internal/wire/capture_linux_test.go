package wire

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

func port(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// exchange runs a short flow on lo and returns its capture.
func exchange(t *testing.T, network, address string, payload int) []Packet {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	defer l.Close()
	capture := Start(t, "lo", port(l.Addr()))
	echoed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
		}
		if err == nil {
			err = c.Close()
		}
		echoed <- err
	}()
	c, err := net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	_, err = c.Write(make([]byte, payload))
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	n, err := io.Copy(io.Discard, c)
	require.NoError(t, err)
	require.EqualValues(t, payload, n)
	require.NoError(t, <-echoed)
	require.NoError(t, c.Close())
	return capture.Until(Closed(1))
}

func TestCaptureTCP(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, payload := range []int{0, 1, 100_000} {
			t.Run(fmt.Sprintf("%s %d", address, payload), func(t *testing.T) {
				packets := exchange(t, "tcp", address, payload)
				require.GreaterOrEqual(t, len(packets), 6, "%s", Text(packets))
				client, server := packets[0].Src, packets[0].Dst
				assert.Equal(t, SYN, packets[0].Flags)
				assert.Equal(t, SYN|ACK, packets[1].Flags)
				// By sequence number: on a busy machine the kernel sends some again.
				type number struct {
					src netip.AddrPort
					seq uint32
				}
				octets, syns, fins := map[number]bool{}, map[number]bool{}, map[number]bool{}
				sent, again := map[netip.AddrPort]int{client: 0, server: 0}, 0
				for _, p := range packets {
					assert.Equal(t, TCP, p.Proto)
					assert.ElementsMatch(t, []netip.AddrPort{client, server}, []netip.AddrPort{p.Src, p.Dst})
					for i := range uint32(p.Len) {
						octet := number{p.Src, p.Seq + i}
						if octets[octet] {
							again++
						} else {
							sent[p.Src]++
						}
						octets[octet] = true
					}
					at := number{p.Src, p.Seq}
					if p.Has(SYN) {
						syns[at] = true
					}
					if p.Has(FIN) {
						at.seq += uint32(p.Len)
						fins[at] = true
					}
				}
				assert.Equal(t, map[netip.AddrPort]int{client: payload, server: payload}, sent)
				assert.Len(t, syns, 2)
				assert.Len(t, fins, 2)
				if payload > 0 {
					assert.Less(t, again, 2*payload, "each packet once")
				}
			})
		}
	}
}

func TestCaptureUDP(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			const n = 1000
			here, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer here.Close()
			there, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer there.Close()
			other, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer other.Close()

			capture := Start(t, "lo", 1, port(there.LocalAddr()))
			for i := range n {
				_, err := here.WriteTo(make([]byte, i), there.LocalAddr())
				require.NoError(t, err)
				_, err = here.WriteTo(make([]byte, i), other.LocalAddr())
				require.NoError(t, err)
			}
			_, err = there.WriteTo([]byte("back"), here.LocalAddr())
			require.NoError(t, err)

			packets := capture.Until(func(p Packet) bool { return p.Dst.Port() == port(here.LocalAddr()) })
			require.Len(t, packets, n+1)
			for i, p := range packets[:n] {
				assert.Equal(t, UDP, p.Proto)
				assert.Equal(t, i, p.Len)
			}
			assert.Equal(t, packets, capture.Stop())
			assert.Equal(t, packets, capture.Stop())
		})
	}
}

func TestCaptureAllPorts(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := Start(t, "lo")
	a := exchange(t, "tcp", "127.0.0.1:0", 1)
	b := exchange(t, "tcp", "[::1]:0", 1)
	// Not in order: two processors may put two packets into two rings in different
	// orders. And on a busy machine the kernel may send again after a flow has ended.
	seen := map[Packet]int{}
	for _, p := range capture.Until(Closed(2)) {
		seen[p]++
		assert.Contains(t, []netip.AddrPort{a[0].Src, a[0].Dst, b[0].Src, b[0].Dst}, p.Src)
	}
	for _, p := range append(a, b...) {
		seen[p]--
		assert.GreaterOrEqual(t, seen[p], 0, "%v", p)
	}
}

// TestCaptureVeth captures on a cable, where a packet either leaves or arrives.
func TestCaptureVeth(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	here, there := testns.Current(t), testns.New(t)
	testns.Connect(
		testns.End{Net: here, Name: "here", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
		testns.End{Net: there, Name: "there", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}},
	)
	var l net.Listener
	there.Do(func() {
		var err error
		l, err = net.Listen("tcp4", "192.0.2.2:0")
		require.NoError(t, err)
	})
	near := Start(t, "here")
	var far *Capture
	there.Do(func() { far = Start(t, "there") })
	c, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, accepted.Close())
	require.NoError(t, l.Close())
	assert.ElementsMatch(t, near.Until(Closed(1)), far.Until(Closed(1)))
}

// A recorder is a testing.TB that keeps its errors.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// fewFrames is the smallest number of frames for a ring.
const fewFrames = 256

func TestCaptureDrop(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	tb := &recorder{TB: t}
	capture := start(tb, fewFrames, "lo", nil)
	capture.mu.Lock() // stops the reader
	for range 2 * fewFrames {
		_, err := c.WriteTo(nil, c.LocalAddr())
		require.NoError(t, err)
	}
	capture.mu.Unlock()
	capture.Stop()
	require.Len(t, tb.said, 1)
	assert.Contains(t, tb.said[0], "of 512 packets were dropped")
}

// TestCaptureOvertaken stops a capture while a frame before full ones looks as if the
// kernel were still filling it.
func TestCaptureOvertaken(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	send := func() {
		_, err := c.WriteTo(nil, c.LocalAddr())
		assert.NoError(t, err)
	}
	capture := start(t, fewFrames, "lo", nil)
	capture.mu.Lock() // stops the reader
	_, header := capture.ring.Frame(0)
	status := &header.Status
	send()
	full := atomic.SwapUint32(status, unix.TP_STATUS_KERNEL)
	send()
	capture.mu.Unlock()
	filled := time.AfterFunc(100*time.Millisecond, func() {
		atomic.StoreUint32(status, full)
		send() // wakes the reader
	})
	defer filled.Stop()
	assert.GreaterOrEqual(t, len(capture.Stop()), 2)
}
