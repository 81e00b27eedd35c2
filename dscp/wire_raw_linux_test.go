package dscp_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// TestWireRawIPv6 sends ICMPv6 from raw sockets, one on an address and one on the
// wildcard. Neither has IPv4 peers, so neither needs IP_TOS, which Linux refuses on them.
func TestWireRawIPv6(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const network = "ip6:ipv6-icmp"
	receiver, err := net.ListenPacket(network, "::1")
	require.NoError(t, err)
	defer receiver.Close()
	require.NoError(t, receiver.SetReadDeadline(time.Now().Add(20*time.Second)))
	p := ipv6.NewPacketConn(receiver)
	require.NoError(t, p.SetControlMessage(ipv6.FlagTrafficClass, true))
	for _, local := range []string{"::1", "::"} {
		for _, cp := range codePoints() {
			t.Run(local+"/"+mark(cp), func(t *testing.T) {
				c, err := (&dscp.ListenConfig{DSCP: cp}).ListenPacket(t.Context(), network, local)
				require.NoError(t, err)
				defer c.Close()
				const private = 200 // a type for private experiments (RFC 4443, section 2.1), which no kernel answers
				_, err = c.WriteTo([]byte{private, uint8(cp), 0, 0}, &net.IPAddr{IP: net.IPv6loopback})
				require.NoError(t, err)
				b := make([]byte, 64)
				for {
					n, cm, _, err := p.ReadFrom(b)
					require.NoError(t, err)
					if n < 2 || b[0] != private || b[1] != uint8(cp) {
						continue // the kernel's own ICMPv6
					}
					require.NotNil(t, cm)
					assert.Equal(t, int(cp.TOS()), cm.TrafficClass)
					return
				}
			})
		}
	}
}

// TestRawIPv6Wildcards marks raw sockets made in each of the other ways.
func TestRawIPv6Wildcards(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const network = "ip6:89"
	lc := &dscp.ListenConfig{DSCP: dscp.AF21}
	d := &dscp.Dialer{DSCP: dscp.AF21}
	for name, open := range map[string]func() (any, error){
		"Dial":                  func() (any, error) { return d.Dial(network, "::1") },
		"Dial to the wildcard":  func() (any, error) { return d.Dial(network, "::") },
		"ListenPacket":          func() (any, error) { return lc.ListenPacket(t.Context(), network, "") },
		"Marked().ListenPacket": func() (any, error) { return lc.Marked().ListenPacket(t.Context(), network, "::") },
		"Control, ListenPacket": func() (any, error) {
			return (&net.ListenConfig{Control: dscp.Control(dscp.AF21)}).ListenPacket(t.Context(), network, "")
		},
		"Control, Dial to an addr": func() (any, error) { return (&net.Dialer{Control: dscp.Control(dscp.AF21)}).Dial(network, "::1") },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := open()
			require.NoError(t, err)
			ip := c.(*net.IPConn)
			defer ip.Close()
			octet, err := ipv6.NewConn(ip).TrafficClass()
			require.NoError(t, err)
			assert.Equal(t, int(dscp.AF21.TOS()), octet)
		})
	}
}
