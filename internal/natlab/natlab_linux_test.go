package natlab_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/natlab"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestNAT checks on both cables that the lab translates addresses, for a client and for a
// server inside, and does not change marks.
func TestNAT(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	lab := natlab.New(t)
	for _, tt := range []struct {
		name        string
		six, inside bool
	}{
		{"IPv4, client inside", false, false},
		{"IPv6, client inside", true, false},
		{"IPv4, server inside", false, true},
		{"IPv6, server inside", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var near, far *wire.Capture
			lab.Router.Do(func() {
				near, far = wire.Start(t, natlab.InsideCable), wire.Start(t, natlab.OutsideCable)
			})
			listen, dial := lab.Server(tt.six, tt.inside)
			serverNet, clientNet := lab.Outside, lab.Inside
			if tt.inside {
				serverNet, clientNet = lab.Inside, lab.Outside
			}
			var l net.Listener
			serverNet.Do(func() {
				var err error
				l, err = (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), "tcp", netip.AddrPortFrom(listen, 0).String())
				require.NoError(t, err)
			})
			defer l.Close() //nolint:errcheck // it is a listener
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			clientNet.Do(func() {
				c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", netip.AddrPortFrom(dial, port).String())
				require.NoError(t, err)
				require.NoError(t, c.Close())
			})
			accepted, err := l.Accept()
			require.NoError(t, err)
			cp, ok := accepted.(*dscp.Conn).PeerDSCP()
			assert.True(t, ok)
			assert.Equal(t, dscp.AF21, cp)
			require.NoError(t, accepted.Close())

			here, there := near.Until(wire.Closed(1)), far.Until(wire.Closed(1))
			require.Len(t, there, len(here), "%s\n%s", wire.Text(here), wire.Text(there))
			assert.NotEqual(t, [2]netip.Addr{here[0].Src.Addr(), here[0].Dst.Addr()},
				[2]netip.Addr{there[0].Src.Addr(), there[0].Dst.Addr()}, "nothing was translated")
			for _, packets := range [][]wire.Packet{here, there} {
				for _, p := range packets {
					want := dscp.EF
					if p.Dst.Port() == port {
						want = dscp.AF21
					}
					assert.Equal(t, want.TOS(), p.TOS, "%v", p)
				}
			}
		})
	}
}
