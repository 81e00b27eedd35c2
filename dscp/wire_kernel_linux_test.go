package dscp_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// These tests are about packets that the kernel sends by itself: acknowledgements,
// retransmissions, probes and resets. A packet that belongs to a socket has the socket's
// mark, also in TIME_WAIT. A reset in answer to a segment for which there is no socket has
// the mark of that segment, which is the peer's. No socket option changes it. It is the
// last packet of its flow.

// discardInput makes the kernel drop, or no longer drop, every packet that arrives for the
// socket, by a minimum TTL above that of packets on loopback. It does not affect packets
// that the socket sends.
func discardInput(t *testing.T, c syscall.Conn, discard bool) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { require.NoError(t, setDiscardInput(fd, discard)) }))
}

func setDiscardInput(fd uintptr, discard bool) error {
	hops := 0
	if discard {
		hops = 255
	}
	domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, hops); err != nil {
		return err
	}
	if domain == unix.AF_INET {
		return nil
	}
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, hops)
}

// count returns a condition that is true once want was true for n packets.
func count(n int, want func(wire.Packet) bool) func(wire.Packet) bool {
	return func(p wire.Packet) bool {
		if want(p) {
			n--
		}
		return n <= 0
	}
}

// marks checks that the packets of the flow have the marks of the two sides.
func (f flow) marks(t *testing.T, packets []wire.Packet, client, server dscp.CodePoint) {
	t.Helper()
	for _, p := range packets {
		if f.has(p) {
			want := map[netip.AddrPort]dscp.CodePoint{f.client: client, f.server: server}[p.Src]
			assert.Equal(t, want.TOS(), p.TOS, "%v\n%s", p, wire.Text(packets))
		}
	}
}

const (
	ours   = dscp.AF21
	theirs = dscp.EF
)

// pair connects a client marked ours to a server marked theirs.
func pair(t *testing.T, f family) (client, server *dscp.Conn) {
	t.Helper()
	c, s := f.connect(t, dialled(dscp.Dialer{DSCP: ours}), listened(dscp.ListenConfig{DSCP: theirs}))
	return c.(*dscp.Conn), s.(*dscp.Conn)
}

func TestWireKernel(t *testing.T) {
	t.Parallel() // most of it waits for the kernel's timers
	if !testns.Inside(t) {
		return
	}
	for _, f := range families {
		for name, run := range map[string]func(*testing.T, family){
			"server closes first":           serverFirst,
			"both close at once":            bothClose,
			"TIME_WAIT of the client":       timeWaitClient,
			"TIME_WAIT of the server":       timeWaitServer,
			"SYN and SYN-ACK sent again":    handshakeAgain,
			"data sent again":               dataAgain,
			"probe of a closed window":      zeroWindow,
			"reset by linger":               lingerReset,
			"reset by unread data":          unreadReset,
			"reset of data after the close": lateData,
			"reset of data to no socket":    orphanData,
			"refused":                       refused,
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				run(t, f)
			})
		}
	}
}

func serverFirst(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	require.NoError(t, server.Close())
	_, err := io.Copy(io.Discard, client)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	wired.marks(t, wired.packets(capture), ours, theirs)
}

func bothClose(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	// Neither receives the other's FIN before it has sent its own.
	discardInput(t, client, true)
	discardInput(t, server, true)
	require.NoError(t, client.CloseWrite())
	require.NoError(t, server.CloseWrite())
	discardInput(t, client, false)
	discardInput(t, server, false)
	wired.marks(t, wired.packets(capture), ours, theirs)
}

// timeWait closes first and then last, which discards the acknowledgement of its FIN. So
// last sends the FIN again, and the kernel acknowledges it from TIME_WAIT.
func timeWait(t *testing.T, capture *wire.Capture, wired flow, first, last *dscp.Conn) {
	t.Helper()
	here := addrPort(first.LocalAddr())
	require.NoError(t, first.Close())
	_, err := io.Copy(io.Discard, last)
	require.NoError(t, err)
	discardInput(t, last, true)
	require.NoError(t, last.Close())
	var fin bool // last's
	packets := capture.Until(count(2, func(p wire.Packet) bool {
		fin = fin || wired.has(p) && p.Src != here && p.Has(wire.FIN)
		return fin && wired.has(p) && p.Src == here && p.Has(wire.ACK)
	}))
	wired.marks(t, packets, ours, theirs)
}

func timeWaitClient(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	timeWait(t, capture, flowOf(client), client, server)
}

func timeWaitServer(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	timeWait(t, capture, flowOf(client), server, client)
}

// dialed returns a listener, its port and the address to dial.
func dialed(t *testing.T, f family) (l net.Listener, port uint16, address string) {
	t.Helper()
	l, err := (&dscp.ListenConfig{DSCP: theirs}).Listen(t.Context(), f.network, f.listen)
	require.NoError(t, err)
	port = addrPort(l.Addr()).Port()
	return l, port, net.JoinHostPort(f.dial, strconv.Itoa(int(port)))
}

// handshakeAgain dials with a socket that discards the SYN-ACK.
func handshakeAgain(t *testing.T, f family) {
	l, port, address := dialed(t, f)
	defer l.Close() //nolint:errcheck // a listener
	capture := wire.Start(t, "lo", port)
	d := dscp.Dialer{DSCP: ours, NetDialer: &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { assert.NoError(t, setDiscardInput(fd, true)) })
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := d.DialContext(ctx, "tcp", address)
		assert.Error(t, err)
	}()
	var syns, synAcks int
	packets := capture.Until(func(p wire.Packet) bool {
		switch {
		case p.Has(wire.SYN | wire.ACK):
			synAcks++
		case p.Has(wire.SYN):
			syns++
		}
		return syns >= 2 && synAcks >= 2
	})
	cancel()
	<-done
	flow{packets[0].Src, packets[0].Dst}.marks(t, packets, ours, theirs)
}

func dataAgain(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	discardInput(t, server, true)
	_, err := client.Write([]byte("lost"))
	require.NoError(t, err)
	packets := capture.Until(count(2, func(p wire.Packet) bool { return wired.has(p) && p.Len > 0 }))
	discardInput(t, server, false)
	_, err = io.ReadFull(server, make([]byte, 4))
	require.NoError(t, err)
	wired.marks(t, packets, ours, theirs)
}

func zeroWindow(t *testing.T, f family) {
	const much = 16 << 20 // more than fits in both buffers
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(make([]byte, much))
		wrote <- err
	}()
	// A probe has no data, and the sequence number before the next one.
	next, known := uint32(0), false
	packets := capture.Until(count(2, func(p wire.Packet) bool {
		if !wired.has(p) || p.Src != wired.client {
			return false
		}
		probe := known && p.Len == 0 && p.Seq == next-1
		if end := p.Seq + uint32(p.Len); !known || int32(end-next) > 0 {
			next, known = end, !p.Has(wire.SYN)
		}
		return probe
	}))
	_, err := io.CopyN(io.Discard, server, much)
	require.NoError(t, err)
	require.NoError(t, <-wrote)
	wired.marks(t, packets, ours, theirs)
}

func lingerReset(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	require.NoError(t, server.SetLinger(0))
	require.NoError(t, server.Close())
	packets := wired.packets(capture)
	last := packets[len(packets)-1]
	assert.True(t, last.Has(wire.RST) && !last.Ownerless(), "%v", last)
	wired.marks(t, packets, ours, theirs)
}

func unreadReset(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	_, err := client.Write([]byte("unread"))
	require.NoError(t, err)
	require.NoError(t, server.Close())
	packets := wired.packets(capture)
	last := packets[len(packets)-1]
	assert.True(t, last.Has(wire.RST) && !last.Ownerless(), "%v", last)
	wired.marks(t, packets, ours, theirs)
}

// echoed requires that the last packet is the server's reset with the mark of the client's
// packet, and that all packets before it have the marks of their sides.
func (f flow) echoed(t *testing.T, packets []wire.Packet) {
	t.Helper()
	last := packets[len(packets)-1]
	assert.Equal(t, f.server, last.Src)
	assert.True(t, last.Has(wire.RST))
	assert.Equal(t, ours.TOS(), last.TOS, "the reset has the mark of the packet that it answers: %v", last)
	f.marks(t, packets[:len(packets)-1], ours, theirs)
}

// lateData writes to a peer that has closed its socket with a FIN, which is the most
// common cause of a reset.
func lateData(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	require.NoError(t, server.Close())
	_, err := client.Write([]byte("nobody is there"))
	require.NoError(t, err)
	packets := wired.packets(capture)
	assert.True(t, packets[len(packets)-1].Ownerless())
	wired.echoed(t, packets)
}

// orphanData writes to a peer whose socket no longer exists, and whose reset was lost.
func orphanData(t *testing.T, f family) {
	capture := wire.Start(t, "lo")
	client, server := pair(t, f)
	wired := flowOf(client)
	discardInput(t, client, true)
	require.NoError(t, server.SetLinger(0))
	require.NoError(t, server.Close())
	_, err := client.Write([]byte("nobody is there"))
	require.NoError(t, err)
	wired.echoed(t, capture.Until(count(2, func(p wire.Packet) bool { return wired.has(p) && p.Has(wire.RST) })))
}

func refused(t *testing.T, f family) {
	address := nobody.Listens(t, net.JoinHostPort(f.dial, "0"))
	capture := wire.Start(t, "lo", netip.MustParseAddrPort(address).Port())
	_, err := (&dscp.Dialer{DSCP: ours}).Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	packets := capture.Until(wire.Closed(1))
	flow{packets[0].Src, packets[0].Dst}.echoed(t, packets)
}

// TestWireSynCookies forces SYN cookies, as under a SYN flood: the conn has the listener's
// mark, but the SYN is not saved.
func TestWireSynCookies(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_syncookies", "2")
	capture := wire.Start(t, "lo")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			client, server := pair(t, f)
			assert.Equal(t, theirs, server.DSCP())
			cp, ok := server.PeerDSCP()
			assert.False(t, ok, "with a SYN cookie the SYN is not saved, got %v", cp)
			wired := flowOf(client)
			talk(t, client, server)
			requireMarks(t, wired, wired.packets(capture), ours, theirs)
		})
	}
}

// TestWireSynCookiesReflected forces SYN cookies under tcp_reflect_tos. The conn has the
// mark of the ACK, which is not saved. Accept must return the conn nevertheless.
func TestWireSynCookiesReflected(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_syncookies", "2")
	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			client, server := pair(t, f)
			assert.Equal(t, ours, server.DSCP())
			_, ok := server.PeerDSCP()
			assert.False(t, ok)
			talk(t, client, server)
		})
	}
}
