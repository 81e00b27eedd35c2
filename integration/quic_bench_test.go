package integration

import (
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/godscp/godscp/dscp"
)

// BenchmarkQUIC echoes data over quic-go, alternately on a bare *net.UDPConn and on a
// pinned *dscp.UDPConn, so that other load slows both. It reports the throughput of each
// and the ratio.
func BenchmarkQUIC(b *testing.B) {
	const size = 8 << 20
	connect := func(listen func() (net.PacketConn, error)) *quic.Conn {
		serverConn, err := listen()
		if err != nil {
			b.Skip(err)
		}
		config := serveQUIC(b, serverConn, nil)
		clientConn, err := listen()
		if err != nil {
			b.Skip(err)
		}
		return dialQUIC(b, clientConn, serverConn.LocalAddr(), config, nil)
	}
	bare := func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") }
	pinned := func() (net.PacketConn, error) {
		return (&dscp.ListenConfig{DSCP: dscp.AF21}).ListenPacket(b.Context(), "udp", "127.0.0.1:0")
	}
	conns := [2]*quic.Conn{connect(bare), connect(pinned)}
	var spent [2]time.Duration
	run := func(i int) {
		start := time.Now()
		if err := transfer(b.Context(), conns[i], size); err != nil {
			b.Fatal(err)
		}
		spent[i] += time.Since(start)
	}
	run(0) // lets the congestion windows grow
	run(1)
	spent = [2]time.Duration{}
	rounds := 0
	for b.Loop() {
		run(rounds % 2)
		run(1 - rounds%2)
		rounds++
	}
	rate := func(i int) float64 { return 2 * size * float64(rounds) / 1e6 / spent[i].Seconds() }
	b.ReportMetric(rate(0), "bare-MB/s")
	b.ReportMetric(rate(1), "pinned-MB/s")
	b.ReportMetric(rate(1)/rate(0), "pinned/bare")
	b.ReportMetric(0, "ns/op")
}
