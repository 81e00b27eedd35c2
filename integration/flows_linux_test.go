package integration

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/wire"
)

// The marks of clients, of servers, and of connections that proxies dial.
const (
	clientMark = dscp.AF21
	serverMark = dscp.EF
	proxyMark  = dscp.CS2
)

// listen returns a server's listener, which is closed when the test ends.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&dscp.ListenConfig{DSCP: serverMark}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A watch captures the traffic of one server.
type watch struct {
	t       *testing.T
	port    uint16
	capture *wire.Capture
}

func watching(t *testing.T, server net.Addr) *watch {
	t.Helper()
	port := netip.MustParseAddrPort(server.String()).Port()
	return &watch{t, port, wire.Start(t, "lo", port)}
}

// address returns the server's address, even if another process has its listener.
func (w *watch) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(w.port)))
}

// flows waits for the end of n TCP connections to the server. It fails the test if there
// were more, or if a packet of one, from the SYN on, had not the mark of its sender.
func (w *watch) flows(n int, client dscp.CodePoint) {
	w.t.Helper()
	packets := w.capture.Until(wire.Closed(n))
	syns := 0
	for _, p := range packets {
		if p.Has(wire.SYN) && !p.Has(wire.ACK) {
			syns++
		}
	}
	require.Equal(w.t, n, syns, "connections")
	w.marked(packets, client)
}

// marked fails the test unless each packet has the mark of its sender. A reset that the
// kernel sends without a socket must have the mark of the packet that it answers.
func (w *watch) marked(packets []wire.Packet, client dscp.CodePoint) {
	w.t.Helper()
	for _, p := range packets {
		want, other := client, serverMark
		if p.Src.Port() == w.port {
			want, other = other, want
		}
		if p.Ownerless() {
			want = other
		}
		if !assert.Equal(w.t, want, dscp.FromTOS(p.TOS), "%s", p) {
			return
		}
	}
}
