package dscp_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestWireEveryPacket checks that every packet of a flow, from SYN to FIN, has the mark of
// its side, whether the other side is unmarked or has another mark.
func TestWireEveryPacket(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	type way struct{ src, dst netip.AddrPort }
	want := map[way]uint8{}
	proved := func(packets []wire.Packet) {
		for _, p := range packets {
			want[way{p.Src, p.Dst}] = p.TOS // proveFlow has checked it
		}
	}
	capture := wire.Start(t, "lo")
	for _, f := range families {
		for _, cp := range codePoints() {
			other := 63 - cp
			t.Run(f.name+"/dial/"+mark(cp), func(t *testing.T) {
				proved(proveFlow(t, capture, f, dialled(dscp.Dialer{DSCP: cp}), net.Listen, cp, dscp.DF))
			})
			t.Run(f.name+"/listen/"+mark(cp), func(t *testing.T) {
				proved(proveFlow(t, capture, f, net.Dial, listened(dscp.ListenConfig{DSCP: cp}), dscp.DF, cp))
			})
			t.Run(f.name+"/dial and listen/"+mark(cp), func(t *testing.T) {
				proved(proveFlow(t, capture, f, dialled(dscp.Dialer{DSCP: cp}), listened(dscp.ListenConfig{DSCP: other}), cp, other))
			})
		}
	}
	// A packet that the kernel retransmits after the end of a flow is part of it.
	for _, p := range capture.Stop() {
		octet, ok := want[way{p.Src, p.Dst}]
		require.True(t, ok, "a packet of no flow: %v", p)
		require.Equal(t, octet, p.TOS, "%v", p)
	}
}

// TestWireRoutes tries every way to make a marked TCP socket.
func TestWireRoutes(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	ctx := context.Background()
	capture := wire.Start(t, "lo")
	d := dscp.Dialer{DSCP: dscp.AF21}
	lc := dscp.ListenConfig{DSCP: dscp.CS1}
	for _, f := range families {
		for name, dial := range map[string]dialing{
			"Dial":        d.Dial,
			"DialContext": func(network, address string) (net.Conn, error) { return d.DialContext(ctx, network, address) },
			"DialTCP": func(network, address string) (net.Conn, error) {
				return d.DialTCP(ctx, network, netip.AddrPort{}, netip.MustParseAddrPort(address))
			},
			"Marked":     d.Marked().Dial,
			"Control":    (&net.Dialer{Control: dscp.Control(dscp.AF21)}).Dial,
			"NATSafe":    dialled(dscp.Dialer{DSCP: dscp.EF, NATSafe: true}),
			"Local port": dialled(dscp.Dialer{DSCP: dscp.AF21, NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(f.dial)}}}),
		} {
			want := dscp.AF21
			if name == "NATSafe" {
				want = dscp.LowDelay
			}
			t.Run(f.name+"/"+name, func(t *testing.T) {
				proveFlow(t, capture, f, dial, net.Listen, want, dscp.DF)
			})
		}
		for name, listen := range map[string]listening{
			"Listen": listened(lc),
			"AcceptConn": func(network, address string) (net.Listener, error) {
				l, err := lc.Listen(ctx, network, address)
				require.NoError(t, err)
				return acceptConn{l.(*dscp.Listener)}, nil
			},
			"Marked": func(network, address string) (net.Listener, error) {
				return lc.Marked().Listen(ctx, network, address)
			},
			"Control": func(network, address string) (net.Listener, error) {
				return (&net.ListenConfig{Control: dscp.Control(dscp.CS1)}).Listen(ctx, network, address)
			},
			"Wrap": func(network, address string) (net.Listener, error) {
				var plain net.ListenConfig
				plain.SetMultipathTCP(false)
				l, err := plain.Listen(ctx, network, address)
				require.NoError(t, err)
				return lc.Wrap(l.(*net.TCPListener))
			},
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				proveFlow(t, capture, f, net.Dial, listen, dscp.DF, dscp.CS1)
			})
		}
	}
}

// acceptConn is a listener whose Accept is AcceptConn.
type acceptConn struct{ *dscp.Listener }

func (l acceptConn) Accept() (net.Conn, error) { return l.AcceptConn() }
