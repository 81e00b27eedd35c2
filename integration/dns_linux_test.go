package integration

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// serveDNS runs a server on l or on pc that answers every query with one address.
func serveDNS(t *testing.T, l net.Listener, pc net.PacketConn) {
	t.Helper()
	srv := &dns.Server{Listener: l, PacketConn: pc, ReadTimeout: time.Minute, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
			A:   net.IPv4(192, 0, 2, 1),
		})
		assert.NoError(t, w.WriteMsg(m))
	})}
	started, done := make(chan struct{}), make(chan error, 1)
	srv.NotifyStartedFunc = func() { close(started) }
	go func() { done <- srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		assert.NoError(t, srv.Shutdown())
		assert.NoError(t, <-done)
	})
}

func query() *dns.Msg { return new(dns.Msg).SetQuestion("example.com.", dns.TypeA) }

func TestDNS(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l, pc := listen(t), listenUDP(t, serverMark, "127.0.0.1:0")
	serveDNS(t, l, nil)
	serveDNS(t, nil, pc)
	d := &dscp.Dialer{DSCP: clientMark}
	for network, server := range map[string]net.Addr{"tcp": l.Addr(), "udp": pc.LocalAddr()} {
		t.Run(network, func(t *testing.T) {
			w := watching(t, server)
			// The client takes only a *net.Dialer, whose conns are not pinned.
			answer, _, err := (&dns.Client{Net: network, Timeout: time.Minute, Dialer: d.Marked()}).Exchange(query(), server.String())
			require.NoError(t, err)
			assert.Len(t, answer.Answer, 1)

			// It also takes a conn, which may be pinned.
			c, err := d.DialContext(t.Context(), network, server.String())
			require.NoError(t, err)
			for range 3 {
				answer, _, err = (&dns.Client{Net: network, Timeout: time.Minute}).ExchangeWithConn(query(), &dns.Conn{Conn: c})
				require.NoError(t, err)
				assert.Len(t, answer.Answer, 1)
			}
			require.NoError(t, c.Close())
			if network == "tcp" {
				w.flows(2, clientMark)
				return
			}
			packets := w.capture.Stop()
			assert.Len(t, packets, 8)
			w.marked(packets, clientMark)
		})
	}
}

// TestDNSOnAWildcard shows a limit: on a wildcard address the DNS server answers from the
// address that the client asked only if it gets a *net.UDPConn. The marks are right in
// both cases.
func TestDNSOnAWildcard(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	lc := &dscp.ListenConfig{DSCP: serverMark}
	asked, other := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	for _, tt := range []struct {
		name   string
		listen func() (net.PacketConn, error)
		from   netip.Addr
	}{
		{"pinned", func() (net.PacketConn, error) { return lc.ListenPacket(t.Context(), "udp4", ":0") }, other},
		{"marked", func() (net.PacketConn, error) { return lc.Marked().ListenPacket(t.Context(), "udp4", ":0") }, asked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pc, err := tt.listen()
			require.NoError(t, err)
			serveDNS(t, nil, pc)
			w := watching(t, pc.LocalAddr())
			c, err := (&dscp.Dialer{DSCP: clientMark}).DialContext(t.Context(), "udp", net.JoinHostPort(asked.String(), strconv.Itoa(int(w.port))))
			require.NoError(t, err)
			defer c.Close()
			q, err := query().Pack()
			require.NoError(t, err)
			_, err = c.Write(q)
			require.NoError(t, err)
			packets := w.capture.Until(func(p wire.Packet) bool { return p.Src.Port() == w.port })
			assert.Equal(t, tt.from, packets[len(packets)-1].Src.Addr())
			w.marked(packets, clientMark)
		})
	}
}
