package dscp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/wire"
)

// What the wire tests have in common. They run in a namespace of their own,
// capture everything on its loopback, and look at every packet of a flow.

// A dialing opens connections, a listening accepts them.
type (
	dialing   func(network, address string) (net.Conn, error)
	listening func(network, address string) (net.Listener, error)
)

func dialled(d dscp.Dialer) dialing { return (&d).Dial }

func listened(lc dscp.ListenConfig) listening {
	return func(network, address string) (net.Listener, error) {
		return lc.Listen(context.Background(), network, address)
	}
}

// family is a way to reach a listener.
type family struct {
	name, network, listen, dial string
}

// families are the ways packets of one flow can be: IPv4, IPv6, and IPv4 that
// ends on an IPv6 socket.
var families = []family{
	{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "tcp6", "[::1]:0", "::1"},
	{"IPv4-mapped", "tcp", "[::]:0", "127.0.0.1"},
	{"IPv6 on dual stack", "tcp", "[::]:0", "::1"},
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// connect makes a connection in the family's way and returns both ends.
func (f family) connect(t *testing.T, dial dialing, listen listening) (client, server net.Conn) {
	t.Helper()
	l, err := listen(f.network, f.listen)
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a listener
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	client, err = dial("tcp", net.JoinHostPort(f.dial, port))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() }) //nolint:errcheck,gosec // closed by the test, unless it failed
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() }) //nolint:errcheck,gosec // the same
	deadline := time.Now().Add(20 * time.Second)
	require.NoError(t, client.SetDeadline(deadline))
	require.NoError(t, server.SetDeadline(deadline))
	return client, server
}

// bulk is more than a socket sends in one go.
var bulk = bytes.Repeat([]byte("godscp"), 20_000)

// talk uses a connection up: a question and an answer, bulk both ways at once,
// half-close, close.
func talk(t *testing.T, client, server net.Conn) {
	t.Helper()
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(server, server)
		if err == nil {
			err = server.Close()
		}
		echoed <- err
	}()
	ask(t, client)
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(bulk)
		if err == nil {
			err = client.(interface{ CloseWrite() error }).CloseWrite()
		}
		wrote <- err
	}()
	back, err := io.ReadAll(client)
	require.NoError(t, err)
	require.NoError(t, <-wrote)
	require.NoError(t, <-echoed)
	require.NoError(t, client.Close())
	require.True(t, bytes.Equal(bulk, back), "the echo is what was sent")
}

// ask writes a byte to an echoing peer and waits for it.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte{'?'})
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
}

// flow is a TCP connection as the wire names it.
type flow struct{ client, server netip.AddrPort }

// flowOf returns the flow of a dialled conn.
func flowOf(client net.Conn) flow {
	return flow{addrPort(client.LocalAddr()), addrPort(client.RemoteAddr())}
}

// has reports whether p is a packet of f.
func (f flow) has(p wire.Packet) bool {
	return p.Src == f.client && p.Dst == f.server || p.Src == f.server && p.Dst == f.client
}

// packets waits for the end of f and returns all of its packets.
func (f flow) packets(capture *wire.Capture) []wire.Packet {
	closed := wire.Closed(1)
	var packets []wire.Packet
	for _, p := range capture.Until(func(p wire.Packet) bool { return f.has(p) && closed(p) }) {
		if f.has(p) {
			packets = append(packets, p)
		}
	}
	return packets
}

// requireMarks requires that packets are a whole connection, SYN to FIN in both
// directions, and that each packet of it carries the mark of its side and no
// ECN bits.
func requireMarks(t *testing.T, f flow, packets []wire.Packet, clientMark, serverMark dscp.CodePoint) {
	t.Helper()
	want := map[netip.AddrPort]uint8{f.client: clientMark.TOS(), f.server: serverMark.TOS()}
	syns, fins := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
	data := map[netip.AddrPort]int{}
	for _, p := range packets {
		require.Equal(t, want[p.Src], p.TOS, "want 0x%02x: %v\n%s", want[p.Src], p, wire.Text(packets))
		if p.Has(wire.SYN) {
			syns[p.Src]++
		}
		if p.Has(wire.FIN) {
			fins[p.Src]++
		}
		data[p.Src] += p.Len
	}
	for _, side := range []netip.AddrPort{f.client, f.server} {
		// More than one where a busy machine made the kernel send it again.
		assert.NotZero(t, syns[side], "SYN or SYN-ACK of %v", side)
		assert.NotZero(t, fins[side], "FIN of %v", side)
		assert.GreaterOrEqual(t, data[side], len(bulk))
	}
}

// proveFlow makes a connection, uses it up, and holds all of its packets, which
// it returns, against the marks.
func proveFlow(t *testing.T, capture *wire.Capture, f family, dial dialing, listen listening, clientMark, serverMark dscp.CodePoint) []wire.Packet {
	t.Helper()
	client, server := f.connect(t, dial, listen)
	wired := flowOf(client)
	talk(t, client, server)
	packets := wired.packets(capture)
	requireMarks(t, wired, packets, clientMark, serverMark)
	return packets
}

// codePoints are all of them.
func codePoints() []dscp.CodePoint {
	var all []dscp.CodePoint
	for cp := range dscp.CodePoint(64) {
		all = append(all, cp)
	}
	return all
}

func mark(cp dscp.CodePoint) string { return fmt.Sprintf("%02d", uint8(cp)) }
