package dscp

import (
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/trial"
)

// batch returns one message for each buffer of control messages.
func batch(to net.Addr, oobs ...[]byte) []ipv4.Message {
	var ms []ipv4.Message
	for i, oob := range oobs {
		ms = append(ms, ipv4.Message{Buffers: [][]byte{[]byte("some "), {'0' + byte(i)}}, OOB: slices.Clone(oob), Addr: to})
	}
	return ms
}

func TestWriteBatch(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Messages)
	for _, tt := range []struct {
		remote string
		ecn    []byte
		same   []byte
		other  []byte
	}{
		{"127.0.0.1:0", tosMessage(1, 0x02), tosMessage(4, 0x49), tosMessage(1, 0x20)},
		{"[::1]:0", classMessage(0x02), classMessage(0x49), classMessage(0x20)},
	} {
		for _, local := range []string{tt.remote, ":0", "connected"} {
			t.Run(local+" to "+tt.remote, func(t *testing.T) {
				t.Parallel()
				r := newReceiver(t, tt.remote)
				to, c := r.LocalAddr(), (*UDPConn)(nil)
				if local == "connected" {
					conn, err := (&Dialer{DSCP: AF21}).Dial("udp", to.String())
					require.NoError(t, err)
					to, c = nil, conn.(*UDPConn)
				} else {
					pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", local)
					require.NoError(t, err)
					c = pc.(*UDPConn)
				}
				defer c.Close()

				ms := batch(to, nil, tt.ecn, tt.same, nil)
				before := batch(to, nil, tt.ecn, tt.same, nil)
				n, err := c.WriteBatch(ms, 0)
				require.NoError(t, err)
				require.Equal(t, 4, n)
				for i, want := range []uint8{0x48, 0x4a, 0x49, 0x48} {
					assert.Equal(t, want, r.octet(t), "message %d", i)
					assert.Equal(t, before[i].OOB, ms[i].OOB, "the caller's buffer is unchanged")
					assert.Equal(t, 6, ms[i].N)
				}

				n, err = c.WriteBatch(batch(to, nil, tt.ecn, tt.other, nil), 0)
				require.ErrorIs(t, err, ErrMidFlow)
				assert.ErrorContains(t, err, "message 2")
				assert.ErrorContains(t, err, "CS1")
				assert.Zero(t, n)
				r.silent(t)

				var messages []ipv6.Message = batch(to, tt.ecn)
				n, err = c.WriteBatch(messages, 0)
				require.NoError(t, err, "a batch of ipv6.Message")
				require.Equal(t, 1, n)
				assert.Equal(t, uint8(0x4a), r.octet(t))
			})
		}
	}
}

// TestXNetControlMessagesBypassPin checks the documented limit: control messages that
// x/net sends may carry another mark, and datagrams without one have the pinned mark. If
// it fails, x/net has changed: adapt the documentation, and perhaps UDPConn.
func TestXNetControlMessagesBypassPin(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Messages)
	for _, addr := range loopbacks(t) {
		r := newReceiver(t, addr)
		pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", addr)
		require.NoError(t, err)
		defer pc.Close()
		to := r.LocalAddr()
		foreign, plain := batch(to, tosMessage(1, 0x20)), batch(to, nil)
		v4, v6 := ipv4.NewPacketConn(pc), ipv6.NewPacketConn(pc)
		if addr != "127.0.0.1:0" {
			foreign = batch(to, classMessage(0x20))
		}
		sends := map[string]func() error{
			"WriteBatch, 4": func() error { _, err := v4.WriteBatch(foreign, 0); return err },
			"WriteBatch, 6": func() error { _, err := v6.WriteBatch(foreign, 0); return err },
			"SendMsg":       func() error { return ipv4.NewConn(pc.(*UDPConn)).SendMsg(&foreign[0], 0) },
			"SendMsgs":      func() error { _, err := ipv6.NewConn(pc.(*UDPConn)).SendMsgs(foreign, 0); return err },
		}
		if addr != "127.0.0.1:0" { // ipv4's control messages have no TOS
			sends["WriteTo"] = func() error {
				_, err := v6.WriteTo([]byte("x"), &ipv6.ControlMessage{TrafficClass: 0x20}, to)
				return err
			}
		}
		for name, send := range sends {
			require.NoError(t, send(), name)
			assert.Equal(t, uint8(0x20), r.octet(t), "%s: another mark is sent", name)
		}
		for name, send := range map[string]func() error{
			"WriteBatch": func() error { _, err := v4.WriteBatch(plain, 0); return err },
			"WriteTo":    func() error { _, err := v4.WriteTo([]byte("x"), nil, to); return err },
		} {
			require.NoError(t, send(), name)
			assert.Equal(t, AF21.TOS(), r.octet(t), "%s: without a control message", name)
		}
	}
}

func TestWriteBatchEdges(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, "127.0.0.1:0")
	pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	c := pc.(*UDPConn)
	n, err := c.WriteBatch(nil, 0)
	require.NoError(t, err)
	assert.Zero(t, n)

	_, err = c.WriteBatch(batch(r.LocalAddr(), tosMessage(1, 0)[:unix.CmsgLen(0)]), 0)
	require.Error(t, err, "a truncated control message")
	r.silent(t)

	// The kernel takes part of a large batch; the caller sends the rest.
	many, want := batch(r.LocalAddr(), make([][]byte, 1500)...), uint8(0x48)
	if trial.Messages() == nil {
		want = 0x49
		for i := range many {
			many[i].OOB = tosMessage(1, 0x01)
		}
	}
	n, err = c.WriteBatch(many, 0)
	require.NoError(t, err)
	require.Positive(t, n)
	require.Less(t, n, len(many))
	assert.Equal(t, want, r.octet(t))
	assert.Equal(t, 6, many[n-1].N)
	assert.Zero(t, many[n].N, "not sent")

	require.NoError(t, c.Close())
	_, err = c.WriteBatch(batch(r.LocalAddr(), nil), 0)
	require.ErrorIs(t, err, net.ErrClosed)
	var op *net.OpError
	require.True(t, errors.As(err, &op))
	assert.Equal(t, "write", op.Op)
}
