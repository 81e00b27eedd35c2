package dscp_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// mptcp is a caller's setting of Multipath TCP.
type mptcp struct {
	name string
	set  func(interface{ SetMultipathTCP(bool) })
}

var mptcps = []mptcp{
	{"default", func(interface{ SetMultipathTCP(bool) }) {}},
	{"on", func(c interface{ SetMultipathTCP(bool) }) { c.SetMultipathTCP(true) }},
	{"off", func(c interface{ SetMultipathTCP(bool) }) { c.SetMultipathTCP(false) }},
}

// TestWireMultipath tries every combination of the two ends' Multipath TCP settings. net's
// listeners use it by default, and Linux cannot mark IPv6 on such sockets: a mark that is
// lost shows in the SYN-ACK or in the data.
func TestWireMultipath(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	families := append([]family{
		{"IPv4 on :0", "tcp", ":0", "127.0.0.1"},
		{"IPv6 on :0", "tcp", ":0", "::1"},
	}, families...)
	for _, f := range families {
		for _, here := range mptcps {
			for _, there := range mptcps {
				name := f.name + "/MPTCP " + here.name + " to " + there.name
				dial := func(d dscp.Dialer) dialing {
					d.NetDialer = &net.Dialer{}
					here.set(d.NetDialer)
					return d.Dial
				}
				listen := func(lc dscp.ListenConfig) listening {
					lc.NetListenConfig = &net.ListenConfig{}
					there.set(lc.NetListenConfig)
					return listened(lc)
				}
				t.Run(name+"/dial", func(t *testing.T) {
					var plain net.ListenConfig
					there.set(&plain)
					proveFlow(t, capture, f, dial(dscp.Dialer{DSCP: dscp.AF21}), func(network, address string) (net.Listener, error) {
						return plain.Listen(t.Context(), network, address)
					}, dscp.AF21, dscp.DF)
				})
				t.Run(name+"/listen", func(t *testing.T) {
					var plain net.Dialer
					here.set(&plain)
					proveFlow(t, capture, f, plain.Dial, listen(dscp.ListenConfig{DSCP: dscp.EF}), dscp.DF, dscp.EF)
				})
				t.Run(name+"/dial and listen", func(t *testing.T) {
					proveFlow(t, capture, f, dial(dscp.Dialer{DSCP: dscp.AF21}), listen(dscp.ListenConfig{DSCP: dscp.EF}), dscp.AF21, dscp.EF)
				})
				t.Run(name+"/saved SYN", func(t *testing.T) {
					// Even the zero ListenConfig saves SYNs.
					_, server := f.connect(t, dial(dscp.Dialer{DSCP: dscp.AF21}), listen(dscp.ListenConfig{}))
					cp, ok := server.(*dscp.Conn).PeerDSCP()
					require.True(t, ok)
					require.Equal(t, dscp.AF21, cp)
				})
			}
		}
	}
}
