package dscp

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// TestDatagramsOutOfRange checks that a value above 63 fails every method before it
// makes a socket.
func TestDatagramsOutOfRange(t *testing.T) {
	t.Parallel()
	d := &Dialer{Datagrams: []CodePoint{EF, 64}}
	lc := &ListenConfig{Datagrams: []CodePoint{EF, 64}}
	for name, try := range map[string]func() error{
		"Dial udp": func() error { _, err := d.Dial("udp", "127.0.0.1:9"); return err },
		"Dial tcp": func() error { _, err := d.Dial("tcp", "127.0.0.1:9"); return err },
		"DialUDP": func() error {
			_, err := d.DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:9"))
			return err
		},
		"ListenPacket": func() error { _, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0"); return err },
		"Listen":       func() error { _, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0"); return err },
		"WrapPacket":   func() error { _, err := lc.WrapPacket(new(net.UDPConn)); return err },
	} {
		err := try()
		require.ErrorIs(t, err, ErrRange, name)
		var op *net.OpError
		assert.ErrorAs(t, err, &op, name)
	}
}

// TestWriteMarkedWithoutDatagrams checks that the default is one mark for all datagrams.
func TestWriteMarkedWithoutDatagrams(t *testing.T) {
	t.Parallel()
	requireHost(t)
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer far.Close()
	for _, d := range []*Dialer{{DSCP: EF}, {DSCP: AF21, NATSafe: true}, {}} {
		c, err := d.Dial("udp", far.LocalAddr().String())
		require.NoError(t, err)
		defer c.Close()
		uc := c.(*UDPConn)
		for cp := range CodePoint(70) {
			n, err := uc.WriteMarked([]byte("x"), netip.AddrPort{}, cp)
			var op *net.OpError
			switch {
			case cp == uc.DSCP():
				require.NoError(t, err)
				require.Equal(t, 1, n)
				continue
			case cp > 63:
				require.ErrorIs(t, err, ErrRange)
			default:
				require.ErrorIs(t, err, ErrMidFlow)
			}
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "write", op.Op)
			assert.Equal(t, far.LocalAddr().String(), op.Addr.String())
		}
	}
}

// TestDatagramsOnUnmarkableSystem checks that the dial fails on a system that cannot
// mark, unless AllowUnmarked is set. Then WriteMarked takes DSCP and every mark in
// Datagrams, and sends without a mark.
func TestDatagramsOnUnmarkableSystem(t *testing.T) {
	trial.Need(t, trial.UDP)
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer far.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer tcp.Close()
	onUnmarkableHost(t)
	sockets := 0
	d := &Dialer{Datagrams: []CodePoint{EF}, Trace: func(Event) { sockets++ }}
	_, err = d.Dial("udp", far.LocalAddr().String())
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Zero(t, sockets, "the dial fails before it makes a socket")
	c, err := d.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err, "on other networks Datagrams has no effect")
	require.NoError(t, c.Close())

	d = &Dialer{DSCP: AF41, Datagrams: []CodePoint{EF}, AllowUnmarked: true}
	c, err = d.Dial("udp", far.LocalAddr().String())
	require.NoError(t, err)
	defer c.Close()
	uc := c.(*UDPConn)
	for _, cp := range []CodePoint{DF, AF41, EF} {
		n, err := uc.WriteMarked([]byte("x"), netip.AddrPort{}, cp)
		require.NoError(t, err, "%v", cp)
		assert.Equal(t, 1, n)
	}
	_, err = uc.WriteMarked([]byte("x"), netip.AddrPort{}, CS1)
	require.ErrorIs(t, err, ErrMidFlow)
}

// TestDatagramsWithoutControlMessages runs as on a system that can mark sockets, but
// takes no mark in a control message.
func TestDatagramsWithoutControlMessages(t *testing.T) {
	requireHost(t)
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer far.Close()
	host := tos.Host
	t.Cleanup(func() { tos.Host = host })
	tos.Host.MessageValue = [2]int{}

	d := &Dialer{DSCP: EF, Datagrams: []CodePoint{AF41}}
	lc := &ListenConfig{DSCP: EF, Datagrams: []CodePoint{AF41}}
	bare, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer bare.Close()
	for name, try := range map[string]func() error{
		"Dial":         func() error { _, err := d.Dial("udp", far.LocalAddr().String()); return err },
		"ListenPacket": func() error { _, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0"); return err },
		"WrapPacket":   func() error { _, err := lc.WrapPacket(bare.(*net.UDPConn)); return err },
	} {
		err := try()
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
		var unsupported *UnsupportedError
		require.ErrorAs(t, err, &unsupported, name)
		assert.Equal(t, "IP_TOS", unsupported.Option, name)
		assert.Equal(t, "udp4", unsupported.Network, name)
	}
	_, err = bare.WriteTo([]byte("x"), far.LocalAddr())
	require.NoError(t, err, "WrapPacket leaves the conn open")

	d.AllowUnmarked = true
	c, err := d.Dial("udp", far.LocalAddr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.(*UDPConn).WriteMarked([]byte("x"), netip.AddrPort{}, AF41)
	require.NoError(t, err)
}
