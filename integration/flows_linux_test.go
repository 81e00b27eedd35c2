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

// In these tests clients mark AF21, servers EF, and what stands between them
// marks what it dials CS2.
const (
	clientMark = dscp.AF21
	serverMark = dscp.EF
	proxyMark  = dscp.CS2
)

// listen makes a server's listener. The caller's test closes it.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&dscp.ListenConfig{DSCP: serverMark}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A watch reads the traffic of one server off the wire.
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

// address is where the server is, also when its listener is another process's.
func (w *watch) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(w.port)))
}

// flows waits for the end of n TCP connections to the server and fails the test
// unless those were all, and each packet of each, from the SYN on, had the mark
// of its sender.
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

// marked fails the test unless each packet that a socket has sent has the mark of
// its sender, and each reset without a socket that of what it answers.
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
