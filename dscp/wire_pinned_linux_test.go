package dscp_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// harmless makes calls that do not change the mark. Each must succeed, and the conn must
// keep its mark, even if the configuration has another one.
func harmless(t *testing.T, c *dscp.Conn, f family) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	octet := int(c.DSCP().TOS())
	level, option := f.sent()
	for name, err := range map[string]error{
		"nothing": raw.Control(func(uintptr) {}),
		"Read":    raw.Read(func(uintptr) bool { return true }),
		"Write":   raw.Write(func(uintptr) bool { return true }),
		"another option": raw.Control(func(fd uintptr) {
			assert.NoError(t, syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
		}),
		"the same mark": raw.Control(func(fd uintptr) {
			assert.NoError(t, syscall.SetsockoptInt(int(fd), level, option, octet))
		}),
		"SetDSCP": c.SetDSCP(c.DSCP()),
	} {
		assert.NoError(t, err, name)
	}
	if f.dial == "::1" {
		assert.NoError(t, ipv6.NewConn(c).SetTrafficClass(octet))
		assert.NoError(t, ipv6.NewConn(c).SetHopLimit(64))
	} else {
		assert.NoError(t, ipv4.NewConn(c).SetTOS(octet))
		assert.NoError(t, ipv4.NewConn(c).SetTTL(64))
	}
	assert.NoError(t, c.Verify())
}

// requirePinned requires that the conn is pinned at the mark and that every attack is
// refused.
func requirePinned(t *testing.T, c *dscp.Conn, f family, pinned dscp.CodePoint) {
	t.Helper()
	assert.Equal(t, pinned, c.DSCP())
	harmless(t, c, f)
	for _, a := range attacks(f) {
		if a.name == "ipv6.SetTrafficClass" && f.dial != "::1" {
			continue // an IPv4 socket has no such option
		}
		assert.ErrorIs(t, a.try(c, int(dscp.CS6.TOS())), dscp.ErrMidFlow, a.name)
	}
	harmless(t, c, f)
	assert.Equal(t, pinned, c.DSCP())
}

// TestWireReflected checks that accepted conns are pinned at the mark of their peer's SYN
// under tcp_reflect_tos, whatever the mark of the listener.
func TestWireReflected(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	capture := wire.Start(t, "lo")
	for _, f := range families {
		for _, listen := range []dscp.CodePoint{dscp.DF, dscp.EF} {
			for _, dial := range []dscp.CodePoint{dscp.AF21, dscp.LE} {
				t.Run(f.name+"/"+listen.String()+" reflects "+dial.String(), func(t *testing.T) {
					client, server := f.connect(t, dialled(dscp.Dialer{DSCP: dial}), listened(dscp.ListenConfig{DSCP: listen}))
					requirePinned(t, server.(*dscp.Conn), f, dial)
					cp, ok := server.(*dscp.Conn).PeerDSCP()
					assert.True(t, ok)
					assert.Equal(t, dial, cp)

					wired := flowOf(client)
					talk(t, client, server)
					requireMarks(t, wired, wired.packets(capture), dial, dial)
				})
			}
		}
	}
}

// TestWireForeignHook dials with a Control function of the caller that marks the socket.
// It runs first, so its mark stays if the Dialer has none.
func TestWireForeignHook(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	for _, f := range families {
		hook := func(network, _ string, c syscall.RawConn) error {
			var err error
			cerr := c.Control(func(fd uintptr) {
				level, option := syscall.IPPROTO_IP, syscall.IP_TOS
				if network == "tcp6" {
					level, option = syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
				}
				err = syscall.SetsockoptInt(int(fd), level, option, int(dscp.AF41.TOS()))
			})
			if cerr != nil {
				return cerr
			}
			return err
		}
		for _, tt := range []struct{ asked, want dscp.CodePoint }{
			{dscp.DF, dscp.AF41},
			{dscp.CS1, dscp.CS1},
		} {
			t.Run(f.name+"/"+tt.asked.String(), func(t *testing.T) {
				d := dscp.Dialer{DSCP: tt.asked, NetDialer: &net.Dialer{Control: hook}}
				client, server := f.connect(t, dialled(d), net.Listen)
				requirePinned(t, client.(*dscp.Conn), f, tt.want)
				wired := flowOf(client)
				talk(t, client, server)
				requireMarks(t, wired, wired.packets(capture), tt.want, dscp.DF)
			})
		}
	}
}

// TestWirePin pins conns that net dialled with a marked net.Dialer.
func TestWirePin(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			bare, server := f.connect(t, (&dscp.Dialer{DSCP: dscp.AF31}).Marked().Dial, net.Listen)
			client, err := dscp.Pin(bare.(*net.TCPConn))
			require.NoError(t, err)
			requirePinned(t, client, f, dscp.AF31)
			wired := flowOf(client)
			talk(t, client, server)
			requireMarks(t, wired, wired.packets(capture), dscp.AF31, dscp.DF)
		})
	}
}
