package integration

import (
	"fmt"
	"net"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

func listenUDP(t *testing.T, cp dscp.CodePoint, address string) net.PacketConn {
	t.Helper()
	pc, err := (&dscp.ListenConfig{DSCP: cp}).ListenPacket(t.Context(), "udp", address)
	require.NoError(t, err)
	return pc
}

// tally counts packets by their marks and ECN bits.
type tally struct {
	packets int
	marks   map[dscp.CodePoint]int // of all packets
	ecn     map[uint8]int
	markECN map[dscp.CodePoint]int // of packets with ECN bits
}

func count(packets []wire.Packet, from func(wire.Packet) bool) tally {
	c := tally{marks: map[dscp.CodePoint]int{}, ecn: map[uint8]int{}, markECN: map[dscp.CodePoint]int{}}
	for _, p := range packets {
		if !from(p) {
			continue
		}
		cp := dscp.FromTOS(p.TOS)
		c.packets++
		c.marks[cp]++
		c.ecn[p.ECN()]++
		if p.ECN() != 0 {
			c.markECN[cp]++
		}
	}
	return c
}

// runQUIC transfers 4 MiB in each direction and returns the packets and the ECN log of each
// end.
func runQUIC(t *testing.T, clientConn, serverConn net.PacketConn, to *net.UDPAddr) (client, server tally, clientLog, serverLog *ecnLog) {
	t.Helper()
	clientLog, serverLog = &ecnLog{}, &ecnLog{}
	capture := wire.Start(t, "lo", uint16(to.Port))
	config := serveQUIC(t, serverConn, serverLog)
	c := dialQUIC(t, clientConn, to, config, clientLog)
	require.NoError(t, transfer(t.Context(), c, 4<<20))
	require.NoError(t, c.CloseWithError(0, ""))
	packets := capture.Stop()
	port := uint16(to.Port)
	client = count(packets, func(p wire.Packet) bool { return p.Dst.Port() == port })
	server = count(packets, func(p wire.Packet) bool { return p.Src.Port() == port })
	return client, server, clientLog, serverLog
}

// TestQUIC runs quic-go over pinned sockets of every kind. Every packet has the mark, and
// ECN works at both ends.
func TestQUIC(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, tt := range []struct{ client, server, to string }{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "[::1]:0", "::1"},
		{":0", ":0", "127.0.0.1"},
		{":0", ":0", "::1"},
	} {
		t.Run(fmt.Sprintf("%s to %s at %s", tt.client, tt.to, tt.server), func(t *testing.T) {
			serverConn := listenUDP(t, dscp.EF, tt.server)
			to := &net.UDPAddr{IP: net.ParseIP(tt.to), Port: serverConn.LocalAddr().(*net.UDPAddr).Port}
			client, server, clientLog, serverLog := runQUIC(t, listenUDP(t, dscp.AF21, tt.client), serverConn, to)
			t.Logf("client sent %d packets, ECN %v; server %d, ECN %v", client.packets, client.ecn, server.packets, server.ecn)

			assert.Equal(t, map[dscp.CodePoint]int{dscp.AF21: client.packets}, client.marks)
			assert.Equal(t, map[dscp.CodePoint]int{dscp.EF: server.packets}, server.marks)
			assert.Greater(t, client.ecn[2], client.packets/2, "most packets are ECT(0)")
			assert.Greater(t, server.ecn[2], server.packets/2)
			for end, log := range map[string]*ecnLog{"client": clientLog, "server": serverLog} {
				state, ect0, ect1, ce := log.read()
				assert.Equal(t, qlog.ECNStateCapable, state, end)
				assert.Positive(t, ect0, "%s: ECT(0) count from the peer", end)
				assert.Zero(t, ect1+ce, end)
			}
		})
	}
}

// TestQUICWithCongestion makes the network set CE. The packets keep their marks, and the CE
// counts arrive.
func TestQUICWithCongestion(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Input(`table inet congested {
		chain output {
			type filter hook output priority 0
			meta l4proto udp ip ecn ect0 numgen inc mod 10 == 0 counter ip ecn set ce
		}
	}`, "nft", "-f", "-")
	serverConn := listenUDP(t, dscp.EF, "127.0.0.1:0")
	client, server, clientLog, serverLog := runQUIC(t, listenUDP(t, dscp.AF21, "127.0.0.1:0"), serverConn, serverConn.LocalAddr().(*net.UDPAddr))
	t.Logf("client sent %d packets, ECN %v; server %d, ECN %v", client.packets, client.ecn, server.packets, server.ecn)

	assert.Equal(t, map[dscp.CodePoint]int{dscp.AF21: client.packets}, client.marks)
	assert.Equal(t, map[dscp.CodePoint]int{dscp.EF: server.packets}, server.marks)
	assert.Positive(t, client.ecn[3])
	assert.Positive(t, server.ecn[3])
	for end, log := range map[string]*ecnLog{"client": clientLog, "server": serverLog} {
		state, ect0, _, ce := log.read()
		assert.Equal(t, qlog.ECNStateCapable, state, end)
		assert.Positive(t, ect0, end)
		assert.Positive(t, ce, end)
	}
}

// TestQUICBare shows why a pinned socket is needed: on a marked, bare socket each packet
// with ECN bits loses the mark.
func TestQUICBare(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	bare := func(cp dscp.CodePoint) net.PacketConn {
		pc, err := (&dscp.ListenConfig{DSCP: cp}).Marked().ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		require.NoError(t, err)
		return pc
	}
	serverConn := bare(dscp.EF)
	client, server, _, _ := runQUIC(t, bare(dscp.AF21), serverConn, serverConn.LocalAddr().(*net.UDPAddr))
	t.Logf("client sent %d packets, %v; server %d, %v", client.packets, client.marks, server.packets, server.marks)
	for _, end := range []tally{client, server} {
		n := end.packets - end.ecn[0]
		assert.Positive(t, n)
		assert.Equal(t, map[dscp.CodePoint]int{dscp.DF: n}, end.markECN)
	}
}

var _ quic.OOBCapablePacketConn = (*dscp.UDPConn)(nil)
