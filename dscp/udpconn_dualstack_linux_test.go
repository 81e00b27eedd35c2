package dscp

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// TestUDPDualStackHoldsBothMarks marks only one family of a dual-stack socket, by a hook.
// Each flow keeps the mark of its family, with and without ECN in a control message.
func TestUDPDualStackHoldsBothMarks(t *testing.T) {
	t.Parallel()
	ecn := uint8(0x02)
	if trial.Messages() != nil {
		ecn = 0 // the ECN bits are then those of the socket
	}
	for _, marked := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
		t.Run(marked.String(), func(t *testing.T) {
			t.Parallel()
			lc := &ListenConfig{NetListenConfig: &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
				return marked.Set(c, AF21.TOS())
			}}}
			pc, err := lc.ListenPacket(t.Context(), "udp", ":0")
			require.NoError(t, err)
			defer pc.Close()
			c := pc.(*UDPConn)
			for _, addr := range loopbacks(t) {
				opt, oob := tos.IPv6TClass, classMessage(0x02)
				if addr == "127.0.0.1:0" {
					opt, oob = tos.IPv4TOS, tosMessage(1, 0x02)
				}
				want := DF
				if opt == marked {
					want = AF21
				}
				r := newReceiver(t, addr)
				to := netip.MustParseAddrPort(r.LocalAddr().String())
				_, err = c.WriteToUDPAddrPort([]byte("x"), to)
				require.NoError(t, err)
				assert.Equal(t, want.TOS(), r.octet(t), "%s, plain", addr)
				_, _, err = c.WriteMsgUDPAddrPort([]byte("x"), oob, to)
				require.NoError(t, err)
				assert.Equal(t, want.TOS()|ecn, r.octet(t), "%s, with ECN", addr)

				raw, err := c.SyscallConn()
				require.NoError(t, err)
				require.ErrorIs(t, opt.Set(raw, CS1.TOS()), ErrMidFlow)
				if want == DF {
					require.ErrorIs(t, opt.Set(raw, AF21.TOS()), ErrMidFlow, "AF21 is pinned for the other family only")
				}
			}
		})
	}
}

// TestUDPVerifySeesBothFamilies changes one option of a dual-stack socket past the guard.
func TestUDPVerifySeesBothFamilies(t *testing.T) {
	t.Parallel()
	pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", ":0")
	require.NoError(t, err)
	defer pc.Close()
	c := pc.(*UDPConn)
	require.NoError(t, c.Verify())
	for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
		bare, err := c.UDPConn.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, opt.Set(bare, CS1.TOS()))
		require.ErrorIs(t, c.Verify(), ErrMidFlow, "%v", opt)
		require.NoError(t, opt.Set(bare, AF21.TOS()))
		require.NoError(t, c.Verify(), "%v", opt)
	}
	require.ErrorIs(t, ipv4.NewPacketConn(c).SetTOS(int(CS1.TOS())), ErrMidFlow)
}
