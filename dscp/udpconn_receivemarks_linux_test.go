package dscp

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// TestReceiveMarks sends each mark with each value of the ECN bits to every kind of
// socket.
func TestReceiveMarks(t *testing.T) {
	t.Parallel()
	for _, remote := range loopbacks(t) {
		for _, local := range []string{remote, ":0"} {
			t.Run(remote+" to "+local, func(t *testing.T) {
				t.Parallel()
				pc, err := (&ListenConfig{}).ListenPacket(t.Context(), "udp", local)
				require.NoError(t, err)
				defer pc.Close()
				c := pc.(*UDPConn)
				require.NoError(t, c.ReceiveMarks())
				require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
				host, _, err := net.SplitHostPort(remote)
				require.NoError(t, err)
				_, port, err := net.SplitHostPort(c.LocalAddr().String())
				require.NoError(t, err)
				opt := tos.IPv6TClass
				if remote == "127.0.0.1:0" {
					opt = tos.IPv4TOS
				}
				for cp := range CodePoint(64) {
					from, err := (&Dialer{DSCP: cp}).Dial("udp", net.JoinHostPort(host, port))
					require.NoError(t, err)
					raw, err := from.(*UDPConn).SyscallConn()
					require.NoError(t, err)
					for ecn := range uint8(4) {
						require.NoError(t, opt.Set(raw, cp.TOS()|ecn))
						_, err = from.Write([]byte("x"))
						require.NoError(t, err)
						b, oob := make([]byte, 8), make([]byte, 64)
						_, n, _, _, err := c.ReadMsgUDP(b, oob)
						require.NoError(t, err)
						gotCP, gotECN, ok := ReceivedMark(oob[:n])
						assert.True(t, ok)
						assert.Equal(t, cp, gotCP)
						assert.Equal(t, ecn, gotECN)
					}
					require.NoError(t, from.Close())
				}
			})
		}
	}
}

// TestReceiveMarksInBatches reads batches through x/net, which asks for other control
// messages too, from a connected socket.
func TestReceiveMarksInBatches(t *testing.T) {
	t.Parallel()
	for _, addr := range loopbacks(t) {
		pc, err := (&ListenConfig{DSCP: EF}).ListenPacket(t.Context(), "udp", addr)
		require.NoError(t, err)
		defer pc.Close()
		conn, err := (&Dialer{DSCP: AF21}).Dial("udp", pc.LocalAddr().String())
		require.NoError(t, err)
		defer conn.Close()
		c := conn.(*UDPConn)
		require.NoError(t, c.ReceiveMarks())
		var read func([]ipv4.Message, int) (int, error)
		if addr == "127.0.0.1:0" {
			p := ipv4.NewPacketConn(c)
			require.NoError(t, p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagInterface, true))
			read = p.ReadBatch
		} else {
			p := ipv6.NewPacketConn(c)
			require.NoError(t, p.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true))
			read = p.ReadBatch
		}
		n, err := pc.(*UDPConn).WriteBatch(batch(c.LocalAddr(), nil, nil, nil), 0)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		ms := make([]ipv4.Message, 3)
		for i := range ms {
			ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 8)}, OOB: make([]byte, 128)}
		}
		for got := 0; got < 3; got += n {
			n, err = read(ms[got:], 0)
			require.NoError(t, err)
		}
		for _, m := range ms {
			cp, ecn, ok := ReceivedMark(m.OOB[:m.NN])
			assert.True(t, ok)
			assert.Equal(t, EF, cp)
			assert.Zero(t, ecn)
			assert.Greater(t, m.NN, unix.CmsgSpace(4), "the other control messages arrive too")
		}
	}
}

func TestReceivedMarkWithoutMark(t *testing.T) {
	t.Parallel()
	pc, err := (&ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	c := pc.(*UDPConn)
	_, err = c.WriteTo([]byte("x"), c.LocalAddr())
	require.NoError(t, err)
	oob := make([]byte, 64)
	_, n, _, _, err := c.ReadMsgUDP(make([]byte, 8), oob)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.ReceiveMarks(), net.ErrClosed)
	for _, b := range [][]byte{oob[:n], nil, make([]byte, 3), make([]byte, 64), tosMessage(1, 0x48)[:unix.CmsgLen(0)], message(0, unix.IP_TTL, 4, 64)} {
		cp, ecn, ok := ReceivedMark(b)
		assert.False(t, ok)
		assert.Equal(t, DF, cp)
		assert.Zero(t, ecn)
	}
}
