package dscp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/trial"
)

// openDatagrams has every way to make a socket make one that has Datagrams.
func openDatagrams(t *testing.T, allowUnmarked bool) map[string]error {
	t.Helper()
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer far.Close() //nolint:errcheck // nothing was sent
	further := []dscp.CodePoint{dscp.AF41}
	d := &dscp.Dialer{DSCP: dscp.EF, Datagrams: further, AllowUnmarked: allowUnmarked}
	lc := &dscp.ListenConfig{DSCP: dscp.EF, Datagrams: further, AllowUnmarked: allowUnmarked}
	got := map[string]error{}
	try := func(name string, open func() (net.PacketConn, error)) {
		c, err := open()
		got[name] = err
		if err == nil {
			_, err = c.(*dscp.UDPConn).WriteMarked([]byte{0}, netip.AddrPort{}, dscp.AF41)
			if name == "Dial" || name == "DialUDP" {
				require.NoError(t, err)
			}
			require.NoError(t, c.Close())
		}
	}
	try("Dial", func() (net.PacketConn, error) {
		c, err := d.Dial("udp", far.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		return c.(*dscp.UDPConn), nil
	})
	try("DialUDP", func() (net.PacketConn, error) {
		return d.DialUDP(t.Context(), "udp", netip.AddrPort{}, far.LocalAddr().(*net.UDPAddr).AddrPort())
	})
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		try("ListenPacket "+address, func() (net.PacketConn, error) {
			return lc.ListenPacket(context.Background(), "udp", address)
		})
	}
	bare, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer bare.Close() //nolint:errcheck // it may be closed already
	try("WrapPacket", func() (net.PacketConn, error) { return lc.WrapPacket(bare.(*net.UDPConn)) })
	return got
}

// requireIgnored requires that Datagrams is refused before anything is sent, unless
// AllowUnmarked is set.
func requireIgnored(t *testing.T) {
	t.Helper()
	for name, err := range openDatagrams(t, false) {
		unsupported, ok := errors.AsType[*dscp.UnsupportedError](err)
		require.True(t, ok, "%s: %v", name, err)
		assert.Contains(t, []string{"IP_TOS", "IPV6_TCLASS"}, unsupported.Option, name)
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
		require.ErrorContains(t, err, "ignores it in a control message", name)
	}
	for name, err := range openDatagrams(t, true) {
		require.NoError(t, err, name)
	}
}

// TestDatagramsWhereTheKernelIgnoresThem runs where that is so, as in gVisor.
func TestDatagramsWhereTheKernelIgnoresThem(t *testing.T) {
	if trial.Messages() == nil {
		t.Skip("this kernel obeys")
	}
	requireIgnored(t)
}

// TestDatagramsIgnored has all datagrams arrive with the octet that the trial's socket
// has: what the control message says is lost.
func TestDatagramsIgnored(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	here := testns.Current(t)
	here.Input(remarkOutput("62"), "nft", "-f", "-")
	// Every other datagram is lost, the first one included.
	here.Input("table inet loss { chain in { type filter hook input priority 0; meta l4proto udp numgen inc mod 2 == 0 drop; }; }", "nft", "-f", "-")
	requireIgnored(t)
}

// TestDatagramsRemarked has all datagrams arrive with another mark: that is the
// network's work, and tells nothing of the system.
func TestDatagramsRemarked(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Input(remarkOutput("cs1"), "nft", "-f", "-")
	for name, err := range openDatagrams(t, false) {
		require.NoError(t, err, name)
	}
}

// TestDatagramsWithoutLoopback has the datagram of the trial be lost.
func TestDatagramsWithoutLoopback(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Input("table inet silent { chain in { type filter hook input priority 0; meta l4proto udp drop; }; }", "nft", "-f", "-")
	for range 2 {
		c, err := (&dscp.Dialer{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}).Dial("udp", "127.0.0.1:9")
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
}

func remarkOutput(mark string) string {
	return "table inet remark { chain out { type filter hook output priority mangle; " +
		"meta l4proto udp ip dscp set " + mark + "; meta l4proto udp ip6 dscp set " + mark + "; }; }"
}
