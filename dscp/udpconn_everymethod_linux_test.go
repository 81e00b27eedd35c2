package dscp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestUDPOnTheWire sends by every method of UDPConn, from every kind of socket, and
// captures each datagram, including the first.
func TestUDPOnTheWire(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, cp := range []CodePoint{DF, LE, LowDelay, AF21, EF, 63} {
		for _, remote := range []string{"127.0.0.1:0", "[::1]:0"} {
			for _, local := range []string{"connected", remote, ":0"} {
				t.Run(fmt.Sprintf("%v %s to %s", cp, local, remote), func(t *testing.T) {
					sink, err := net.ListenPacket("udp", remote)
					require.NoError(t, err)
					defer sink.Close()
					to := netip.MustParseAddrPort(sink.LocalAddr().String())
					capture := wire.Start(t, "lo", to.Port())
					c := openUDP(t, cp, local, to)
					defer c.Close()

					oob := func(ecn uint8) []byte {
						if to.Addr().Is4() {
							return tosMessage(1, uint32(ecn))
						}
						return classMessage(uint32(ecn))
					}
					want := sendByAllMethods(t, c, local == "connected", to, oob)
					n := 0
					packets := capture.Until(func(wire.Packet) bool { n++; return n == len(want) })
					for i, p := range packets {
						assert.Equal(t, uint8(cp), p.DSCP(), "%s", p)
						assert.Equal(t, want[i], p.ECN(), "%s", p)
					}
				})
			}
		}
	}
}

// openUDP returns a socket that is connected to to, or bound to local.
func openUDP(t *testing.T, cp CodePoint, local string, to netip.AddrPort) *UDPConn {
	t.Helper()
	if local == "connected" {
		c, err := (&Dialer{DSCP: cp}).DialUDP(t.Context(), "udp", netip.AddrPort{}, to)
		require.NoError(t, err)
		return c
	}
	pc, err := (&ListenConfig{DSCP: cp}).ListenPacket(t.Context(), "udp", local)
	require.NoError(t, err)
	return pc.(*UDPConn)
}

// sendByAllMethods sends datagrams by every method and returns their ECN bits in order.
func sendByAllMethods(t *testing.T, c *UDPConn, connected bool, to netip.AddrPort, oob func(ecn uint8) []byte) []uint8 {
	t.Helper()
	b, addr := []byte("x"), net.UDPAddrFromAddrPort(to)
	one := func(_ int, err error) { t.Helper(); require.NoError(t, err) }
	msg := func(_, _ int, err error) { t.Helper(); require.NoError(t, err) }
	var want []uint8
	if connected {
		one(c.Write(b))
		to, addr = netip.AddrPort{}, nil
		want = append(want, 0)
	} else {
		one(c.WriteTo(b, addr))
		one(c.WriteToUDP(b, addr))
		one(c.WriteToUDPAddrPort(b, to))
		want = append(want, 0, 0, 0)
	}
	msg(c.WriteMsgUDP(b, nil, addr))
	want = append(want, 0)
	var ms []ipv4.Message
	for ecn := range uint8(4) {
		msg(c.WriteMsgUDP(b, oob(ecn), addr))
		msg(c.WriteMsgUDPAddrPort(b, oob(uint8(c.DSCP())<<2|ecn), to))
		m := ipv4.Message{Buffers: [][]byte{b}, OOB: oob(ecn)}
		if addr != nil {
			m.Addr = addr
		}
		ms = append(ms, m)
		want = append(want, ecn, ecn)
	}
	n, err := c.WriteBatch(ms, 0)
	require.NoError(t, err)
	require.Equal(t, len(ms), n)
	want = append(want, 0, 1, 2, 3)

	// A refused call sends nothing; otherwise the number of datagrams would differ.
	other := oob((c.DSCP() ^ 0x3f).TOS())
	if c.DSCP() != 63 { // the complement of 63 is DF, which means the pinned mark
		_, _, err = c.WriteMsgUDP(b, other, addr)
		require.ErrorIs(t, err, ErrMidFlow)
		_, err = c.WriteBatch(append(ms, ipv4.Message{Buffers: [][]byte{b}, OOB: other, Addr: ms[0].Addr}), 0)
		require.ErrorIs(t, err, ErrMidFlow)
	}
	p4, p6 := ipv4.NewPacketConn(c), ipv6.NewPacketConn(c)
	require.Error(t, p4.SetTOS(int((c.DSCP() ^ 3).TOS())))
	require.Error(t, p6.SetTrafficClass(int((c.DSCP() ^ 3).TOS())))
	msg(c.WriteMsgUDPAddrPort(b, nil, to))
	return append(want, 0)
}
