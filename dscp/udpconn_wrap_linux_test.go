package dscp

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// TestWrapPacket wraps bound and connected sockets. The first datagram after WrapPacket
// has the mark, and the ECN bits are kept.
func TestWrapPacket(t *testing.T) {
	t.Parallel()
	for _, remote := range loopbacks(t) {
		for name, open := range map[string]func(r receiver) (*net.UDPConn, error){
			"bound": func(receiver) (*net.UDPConn, error) {
				a, err := net.ResolveUDPAddr("udp", remote)
				require.NoError(t, err)
				return net.ListenUDP("udp", a)
			},
			"dual stack": func(receiver) (*net.UDPConn, error) { return net.ListenUDP("udp", nil) },
			"connected": func(r receiver) (*net.UDPConn, error) {
				return net.DialUDP("udp", nil, r.LocalAddr().(*net.UDPAddr))
			},
		} {
			t.Run(name+" to "+remote, func(t *testing.T) {
				t.Parallel()
				r := newReceiver(t, remote)
				for cp := range CodePoint(64) {
					bare, err := open(r)
					require.NoError(t, err)
					raw, err := bare.SyscallConn()
					require.NoError(t, err)
					for _, opt := range tos.Both {
						opt.Set(raw, CS3.TOS()|1) // fails for an option that the socket lacks
					}
					var events eventLog
					c, err := (&ListenConfig{DSCP: cp, Trace: events.add}).WrapPacket(bare)
					require.NoError(t, err)
					want := cp
					if cp == DF {
						want = CS3 // DF leaves the socket as it is
					}
					assert.Equal(t, want, c.DSCP())
					e := events.last(t)
					assert.Equal(t, "wrap", e.Op)
					assert.Equal(t, cp, e.Requested)
					assert.Equal(t, want, e.Effective)
					if name == "connected" {
						_, err = c.Write([]byte("x"))
					} else {
						_, err = c.WriteTo([]byte("x"), r.LocalAddr())
					}
					require.NoError(t, err)
					assert.Equal(t, want.TOS()|1, r.octet(t))
					require.ErrorIs(t, c.SetDSCP(want^1), ErrMidFlow)
					require.NoError(t, c.Verify())
					require.NoError(t, c.Close())
				}
			})
		}
	}
}

// TestWrapPacketError checks that the error for a socket which cannot be marked names its
// address, and that the socket stays open.
func TestWrapPacketError(t *testing.T) {
	t.Parallel()
	bare, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer bare.Close()
	_, err = (&ListenConfig{DSCP: 64}).WrapPacket(bare)
	require.ErrorIs(t, err, ErrRange)
	_, err = (*ListenConfig)(nil).WrapPacket(bare)
	require.ErrorIs(t, err, errNilListenConfig)
	address := bare.LocalAddr().String()
	requireOpen(t, true, bare)
	spoil(t, bare)
	c, err := (&ListenConfig{DSCP: EF}).WrapPacket(bare)
	assert.Nil(t, c)
	require.ErrorIs(t, err, unix.ENOTSOCK)
	m, ok := errors.AsType[*MarkError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, EF, m.CodePoint)
	op, ok := err.(*net.OpError)
	require.True(t, ok)
	assert.Equal(t, "wrap", op.Op)
	assert.ErrorContains(t, err, address)
	requireOpen(t, true, bare)
	_, err = (&ListenConfig{DSCP: EF, AllowUnmarked: true}).WrapPacket(bare)
	require.ErrorIs(t, err, unix.ENOTSOCK, "the socket cannot be pinned either")
	_, err = PinUDP(bare)
	require.ErrorIs(t, err, unix.ENOTSOCK)
	requireOpen(t, true, bare)
	require.NoError(t, bare.Close())
	_, err = (&ListenConfig{DSCP: EF}).WrapPacket(bare)
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestPinUDP checks that PinUDP pins the mark that a bare socket has.
func TestPinUDP(t *testing.T) {
	t.Parallel()
	for _, addr := range append(loopbacks(t), ":0") {
		pc, err := (&ListenConfig{DSCP: CS3}).Marked().ListenPacket(t.Context(), "udp", addr)
		require.NoError(t, err)
		c, err := PinUDP(pc.(*net.UDPConn))
		require.NoError(t, err)
		assert.Equal(t, CS3, c.DSCP())
		for _, remote := range loopbacks(t) {
			if addr != ":0" && addr != remote {
				continue
			}
			r := newReceiver(t, remote)
			_, _, err = c.WriteMsgUDP([]byte("x"), nil, r.LocalAddr().(*net.UDPAddr))
			require.NoError(t, err)
			assert.Equal(t, CS3.TOS(), r.octet(t))
			_, _, err = c.WriteMsgUDP([]byte("x"), tosMessage(4, uint32(EF.TOS())), r.LocalAddr().(*net.UDPAddr))
			require.ErrorIs(t, err, ErrMidFlow)
			r.silent(t)
		}
		require.NoError(t, c.Close())
	}
}
