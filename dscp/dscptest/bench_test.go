package dscptest_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest"
)

// plainRelay is what a box is measured against: io.Copy, twice.
func plainRelay(b *testing.B, upstream string) string {
	host, _, err := net.SplitHostPort(upstream)
	require.NoError(b, err)
	return serve(b, net.JoinHostPort(host, "0"), func(c net.Conn) {
		u, err := net.Dial("tcp", upstream)
		if err != nil {
			return
		}
		defer u.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(u, c)
			u.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(c, u)
		c.(*net.TCPConn).CloseWrite()
		<-done
	})
}

// compare measures through a plain relay and through a box in turns, so that
// whatever else the machine does falls on both, and reports the medians and
// the box's share of the relay's.
func compare(b *testing.B, upstream string, measure func(b *testing.B, address string) time.Duration) {
	relay := plainRelay(b, upstream)
	box := dscptest.NewMiddlebox(b, upstream, dscptest.VMware).Addr()
	var relays, boxes []time.Duration
	for b.Loop() {
		relays = append(relays, measure(b, relay))
		boxes = append(boxes, measure(b, box))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2])
	}
	b.ReportMetric(0, "ns/op") // of both together: says nothing
	b.ReportMetric(median(relays)/1000, "relay-µs")
	b.ReportMetric(median(boxes)/1000, "box-µs")
	b.ReportMetric(median(boxes)/median(relays), "box/relay")
}

// BenchmarkStream sends 64 MiB through an idle model.
func BenchmarkStream(b *testing.B) {
	chunk := make([]byte, 64<<20)
	for _, family := range families {
		b.Run(family.name, func(b *testing.B) {
			sink := serve(b, family.address, func(c net.Conn) {
				io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<20))
			})
			compare(b, sink, func(b *testing.B, address string) time.Duration {
				c, err := net.Dial("tcp", address)
				require.NoError(b, err)
				defer c.Close()
				begin := time.Now()
				_, err = c.Write(chunk)
				require.NoError(b, err)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c) // until the server has had it all
				return time.Since(begin)
			})
		})
	}
}

// BenchmarkFirstByte connects, asks, and waits for the first byte.
func BenchmarkFirstByte(b *testing.B) {
	for _, family := range families {
		b.Run(family.name, func(b *testing.B) {
			compare(b, serve(b, family.address, echo), func(b *testing.B, address string) time.Duration {
				begin := time.Now()
				c, err := net.Dial("tcp", address)
				require.NoError(b, err)
				require.NoError(b, ask(c, "?"))
				took := time.Since(begin)
				require.NoError(b, c.(*net.TCPConn).CloseWrite())
				_, err = io.Copy(io.Discard, c) // the flow is over before the next begins
				require.NoError(b, err)
				require.NoError(b, c.Close())
				return took
			})
		})
	}
}
