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

// The tests named TestWire run in a network namespace, capture all packets on its
// loopback, and check every packet of a flow.

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

// family is a combination of the addresses to listen on and to dial.
type family struct {
	name, network, listen, dial string
}

// families are IPv4, IPv6, and each of them on a dual-stack listener.
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

// connect makes a connection and returns both ends.
func (f family) connect(t *testing.T, dial dialing, listen listening) (client, server net.Conn) {
	t.Helper()
	l, err := listen(f.network, f.listen)
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a listener
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	client, err = dial("tcp", net.JoinHostPort(f.dial, port))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() }) //nolint:errcheck,gosec // already closed unless the test failed
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() }) //nolint:errcheck,gosec // the same
	deadline := time.Now().Add(20 * time.Second)
	require.NoError(t, client.SetDeadline(deadline))
	require.NoError(t, server.SetDeadline(deadline))
	return client, server
}

// bulk is more than a socket sends in one segment.
var bulk = bytes.Repeat([]byte("godscp"), 20_000)

// talk makes the server echo a byte and then bulk data, half-closes the client and closes
// both ends.
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
	require.True(t, bytes.Equal(bulk, back), "the echo equals the data sent")
}

// ask writes a byte to an echoing peer and waits for the echo.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte{'?'})
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
}

// flow identifies a TCP connection by its two addresses.
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

// requireMarks requires that packets are a whole connection, from SYN to FIN in both
// directions, and that each packet has the mark of its side and no ECN bits.
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
		// More than one if a busy machine made the kernel retransmit it.
		assert.NotZero(t, syns[side], "SYN or SYN-ACK of %v", side)
		assert.NotZero(t, fins[side], "FIN of %v", side)
		assert.GreaterOrEqual(t, data[side], len(bulk))
	}
}

// proveFlow makes a connection, talks over it, requires that all of its packets have the
// marks, and returns them.
func proveFlow(t *testing.T, capture *wire.Capture, f family, dial dialing, listen listening, clientMark, serverMark dscp.CodePoint) []wire.Packet {
	t.Helper()
	client, server := f.connect(t, dial, listen)
	wired := flowOf(client)
	talk(t, client, server)
	packets := wired.packets(capture)
	requireMarks(t, wired, packets, clientMark, serverMark)
	return packets
}

// codePoints returns all code points.
func codePoints() []dscp.CodePoint {
	var all []dscp.CodePoint
	for cp := range dscp.CodePoint(64) {
		all = append(all, cp)
	}
	return all
}

func mark(cp dscp.CodePoint) string { return fmt.Sprintf("%02d", uint8(cp)) }
