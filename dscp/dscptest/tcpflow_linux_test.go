package dscptest_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestBlackholeAcknowledgesNothing checks that a box does more than not read. Data sent
// into a blackhole stays in the sender's queue, and TCP_USER_TIMEOUT ends the connection.
func TestBlackholeAcknowledgesNothing(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.FlowKey)
		c := dial(t, box.Addr())
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
		}))
		require.NoError(t, err)
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.AF21))
		_, err = c.Write([]byte("swallowed"))
		require.NoError(t, err)
		eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict == dscptest.Blackhole })
		begin := time.Now()
		_, err = c.Write([]byte("lost"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, unix.ETIMEDOUT)
		assert.Less(t, time.Since(begin), patience)
	})
}

// ports returns the ports of addresses.
func ports(addresses ...string) []uint16 {
	var p []uint16
	for _, a := range addresses {
		p = append(p, netip.MustParseAddrPort(a).Port())
	}
	return p
}

// between returns the packets from one port to another; 0 is any.
func between(packets []wire.Packet, from, to uint16) []wire.Packet {
	var some []wire.Packet
	for _, p := range packets {
		if (from == 0 || p.Src.Port() == from) && (to == 0 || p.Dst.Port() == to) {
			some = append(some, p)
		}
	}
	return some
}

// TestResetOnTheWire compares a box's record with a capture: the offset of the change,
// the RST to the client, the FIN to the server, and that no byte with the new mark was
// forwarded.
func TestResetOnTheWire(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			srv := serve(t, family.address, echo)
			box := dscptest.NewMiddlebox(t, srv, dscptest.VMware)
			p := ports(box.Addr(), srv)
			capture := wire.Start(t, "lo", p...)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "before"))
			require.NoError(t, mark(c, dscp.AF21))
			err := ask(c, "after")
			assert.True(t, broken(c, err), "%v", err)
			packets := capture.Until(wire.Closed(2))

			f := eventually(t, box, over)
			require.Len(t, f.Changes, 1)
			fromClient := between(packets, 0, p[0])
			syn := fromClient[0]
			require.True(t, syn.Has(wire.SYN))
			assert.EqualValues(t, f.SYN, syn.DSCP())
			foreign := int64(-1)
			for _, q := range fromClient {
				if q.DSCP() == uint8(dscp.AF21) && q.Len > 0 && foreign < 0 {
					foreign = int64(q.Seq - syn.Seq - 1)
				}
			}
			assert.GreaterOrEqual(t, foreign, f.Changes[0].Offset)
			assert.LessOrEqual(t, foreign, f.Changes[0].OffsetMax)

			var resets, fins int
			for _, q := range between(packets, p[0], 0) {
				if q.Has(wire.RST) {
					resets++
				}
				assert.False(t, q.Has(wire.FIN), "the client gets no FIN: %v", q)
			}
			for _, q := range between(packets, 0, p[1]) {
				if q.Has(wire.FIN) {
					fins++
				}
				assert.False(t, q.Has(wire.RST), "%v", q)
				if q.Len > 0 {
					assert.Equal(t, len("before"), q.Len)
				}
			}
			assert.Equal(t, 1, resets)
			assert.Equal(t, 1, fins)
		})
	}
}

// TestDroppedSYNOnTheWire checks that nothing answers a marked SYN.
func TestDroppedSYNOnTheWire(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.DropMarked(dscp.EF))
			p := ports(box.Addr())
			capture := wire.Start(t, "lo", p...)
			timesOut(t, box.Addr(), dscp.EF)
			require.NoError(t, connect(box.Addr(), dscp.AF21, patience)) // the capture has all earlier packets then
			packets := capture.Until(func(q wire.Packet) bool { return q.Has(wire.SYN|wire.ACK) && q.Src.Port() == p[0] })
			assert.Len(t, between(packets, p[0], 0), 1, "the SYN-ACK for the other client")
			assert.EqualValues(t, dscp.EF, packets[0].DSCP())
		})
	}
}

// TestBlackholeOnTheWire checks that nothing acknowledges data sent into a blackhole.
func TestBlackholeOnTheWire(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.FlowKey)
			p := ports(box.Addr())
			c := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(c, "before"))
			require.NoError(t, mark(c, dscp.CS1))
			_, err := c.Write([]byte("swallowed"))
			require.NoError(t, err)
			eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict == dscptest.Blackhole })
			capture := wire.Start(t, "lo", p...)
			_, err = c.Write([]byte("lost"))
			require.NoError(t, err)
			n := 0
			packets := capture.Until(func(q wire.Packet) bool { // the first attempt, and two more
				if q.Dst.Port() == p[0] && q.Len > 0 {
					n++
				}
				return n == 3
			})
			lost := between(packets, 0, p[0])
			for _, q := range between(packets, p[0], 0) {
				// What was swallowed may be acknowledged late.
				assert.Zero(t, q.Len)
				assert.LessOrEqual(t, int32(q.Ack-lost[len(lost)-1].Seq), int32(0), "%v", q)
			}
		})
	}
}

// TestMarksOnTheWire captures a flow on both sides of a rewriter, from SYN to FIN.
func TestMarksOnTheWire(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			srv := serveMarked(t, family.address, dscp.AF42, echo)
			box := dscptest.NewMiddlebox(t, srv, dscptest.BleachToSPrecedence)
			p := ports(box.Addr(), srv)
			capture := wire.Start(t, "lo", p...)
			c := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(c, "hello"))
			require.NoError(t, c.CloseWrite())
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			packets := capture.Until(wire.Closed(2))
			for _, way := range []struct {
				from, to uint16
				want     dscp.CodePoint
			}{
				{0, p[0], dscp.AF21}, // what the client sends
				{0, p[1], 2},         // what the box forwards
				{p[1], 0, dscp.AF42}, // what the server sends
				{p[0], 0, 4},         // what the box forwards, SYN-ACK included
			} {
				some := between(packets, way.from, way.to)
				assert.NotEmpty(t, some)
				for _, q := range some {
					assert.Equal(t, uint8(way.want), q.DSCP(), "%v", q)
				}
			}
		})
	}
}

// TestUrgentDataIsForwarded sends urgent bytes among others, in both directions. Each
// arrives as urgent, at its place.
func TestUrgentDataIsForwarded(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		for name, config := range map[string]dscptest.Config{"at once": {}, "delayed": {Delay: time.Millisecond}, "in pieces": {SegmentSize: 3}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				servers := make(chan net.Conn, 1)
				hold := make(chan struct{})
				defer close(hold)
				config.Upstream = serve(t, address, func(c net.Conn) {
					servers <- c
					<-hold
				})
				box := config.NewMiddlebox(t)
				client := dial(t, box.Addr())
				_, err := client.Write([]byte("x"))
				require.NoError(t, err)
				server := (<-servers).(*net.TCPConn)
				require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
				_, err = io.ReadFull(server, make([]byte, 1))
				require.NoError(t, err)
				for range 20 {
					for _, ends := range [][2]*net.TCPConn{{client, server}, {server, client}} {
						sendUrgent(t, ends[0], "before", '!', "after")
						before, urgent, after := receiveUrgent(t, ends[1], 6, 5)
						require.Equal(t, []string{"before", "!", "after"}, []string{before, urgent, after})
					}
				}
				f := eventually(t, box, func(f dscptest.Flow) bool { return f.ServerBytes == 20*12 })
				assert.EqualValues(t, 1+20*12, f.ClientBytes, "urgent bytes are payload")
			})
		}
	})
}

// sendUrgent sends some bytes, one out of band, and some more.
func sendUrgent(t *testing.T, c *net.TCPConn, before string, urgent byte, after string) {
	t.Helper()
	_, err := io.WriteString(c, before)
	require.NoError(t, err)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var serr error
	require.NoError(t, raw.Control(func(fd uintptr) { serr = unix.Send(int(fd), []byte{urgent}, unix.MSG_OOB) }))
	require.NoError(t, serr)
	_, err = io.WriteString(c, after)
	require.NoError(t, err)
}

// receiveUrgent receives the bytes before the urgent one, the urgent one, and those after
// it.
func receiveUrgent(t *testing.T, c *net.TCPConn, n, m int) (before, urgent, after string) {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	u := make([]byte, 1)
	require.Eventually(t, func() bool {
		var err error
		require.NoError(t, raw.Control(func(fd uintptr) { _, _, err = unix.Recvfrom(int(fd), u, unix.MSG_OOB) }))
		return err == nil
	}, patience, time.Millisecond, "no urgent byte")
	a := make([]byte, m)
	_, err = io.ReadFull(c, a)
	require.NoError(t, err)
	return string(b), string(u), string(a)
}
