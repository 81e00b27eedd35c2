package kernel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// openKernel returns the Kernel of a family, for servers that do not reflect marks.
func openKernel(t *testing.T, v6 bool) *linuxKernel {
	t.Helper()
	k, err := Open(v6)
	require.NoError(t, err)
	t.Cleanup(func() { k.Close() })
	l := k.(*linuxKernel)
	l.reflects, l.reflectsErr = false, nil
	return l
}

// TestSYNACKMarkWithReflection predicts the mark of the SYN if servers reflect it. If it
// is not known whether they do, it predicts a mark only if that makes no difference.
func TestSYNACKMarkWithReflection(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		k := openKernel(t, address[0] == '[')
		l, err := (&net.ListenConfig{Control: dscp.Control(dscp.CS1)}).Listen(context.Background(), "tcp", address)
		require.NoError(t, err)
		defer l.Close()
		for _, tt := range []struct {
			reflects bool
			err      error
			syn      dscp.CodePoint
			want     dscp.CodePoint
			known    bool
		}{
			{false, nil, dscp.EF, dscp.CS1, true},
			{true, nil, dscp.EF, dscp.EF, true},
			{false, errors.New("unreadable"), dscp.EF, 0, false},
			{false, errors.New("unreadable"), dscp.CS1, dscp.CS1, true},
		} {
			k.reflects, k.reflectsErr = tt.reflects, tt.err
			cp, known := k.SYNACKMark(AddrPort(l.Addr()), tt.syn)
			assert.Equal(t, tt.known, known, "%s %+v", address, tt)
			if known {
				assert.Equal(t, tt.want, cp, "%s %+v", address, tt)
			}
		}
		require.NoError(t, l.Close())
		_, known := k.SYNACKMark(AddrPort(l.Addr()), dscp.EF)
		assert.False(t, known, "no listener")
	}
}

// tryShared opens a listener that shares its address, marked cp.
func tryShared(network, address string, cp dscp.CodePoint) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		if err := sharePort(c); err != nil {
			return err
		}
		return dscp.Control(cp)(network, address, c)
	}}
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), network, address)
}

func listenShared(t *testing.T, network, address string, cp dscp.CodePoint) net.Listener {
	t.Helper()
	l, err := tryShared(network, address, cp)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// listenTwice opens a listener marked CS1 on an address with port 0, calls alone, and
// opens one marked EF on the same port of another address. The port may be in use there,
// so it tries several.
func listenTwice(t *testing.T, network, address string, other netip.Addr, alone func(net.Listener)) net.Listener {
	t.Helper()
	otherNetwork := "tcp4"
	if other.Is6() {
		otherNetwork = "tcp6"
	}
	for range 100 {
		first := listenShared(t, network, address, dscp.CS1)
		alone(first)
		second, err := tryShared(otherNetwork, netip.AddrPortFrom(other, AddrPort(first.Addr()).Port()).String(), dscp.EF)
		if errors.Is(err, syscall.EADDRINUSE) {
			require.NoError(t, first.Close())
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() { second.Close() })
		return first
	}
	require.Fail(t, "no port is free on both addresses")
	return nil
}

// TestSYNACKMarkOfGroup predicts nothing if sockets with different marks listen on an
// address. One of them among many is enough. Listeners on other addresses make no
// difference.
func TestSYNACKMarkOfGroup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		network, listen, ask, other string // other does not include ask, or is less specific
	}{
		"IPv4":             {"tcp4", "127.0.0.1:0", "127.0.0.1", "127.0.0.2"},
		"IPv6":             {"tcp6", "[::1]:0", "::1", "::ffff:127.0.0.2"},
		"every IPv4":       {"tcp4", "0.0.0.0:0", "127.0.0.1", "127.0.0.2"},
		"IPv4 of both":     {"tcp", "[::]:0", "127.0.0.1", "127.0.0.2"},
		"IPv6 of both":     {"tcp", "[::]:0", "::1", "127.0.0.2"},
		"another of IPv4":  {"tcp4", "127.0.0.3:0", "127.0.0.3", "0.0.0.0"},
		"IPv4 beside IPv6": {"tcp4", "127.0.0.1:0", "127.0.0.1", "::"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := netip.MustParseAddr(tt.ask)
			k := openKernel(t, asked.Is6())
			var addr netip.AddrPort
			holds := func(known bool, why string) {
				t.Helper()
				cp, ok := k.SYNACKMark(addr, dscp.AF41)
				assert.Equal(t, known, ok, why)
				if ok {
					assert.Equal(t, dscp.CS1, cp, why)
				}
			}
			first := listenTwice(t, tt.network, tt.listen, netip.MustParseAddr(tt.other).Unmap(), func(l net.Listener) {
				addr = netip.AddrPortFrom(asked, AddrPort(l.Addr()).Port())
				holds(true, "one socket")
			})
			shared := first.Addr().String()
			holds(true, "another address")
			var group []net.Listener
			for range 300 { // more than fit into one answer of the kernel
				group = append(group, listenShared(t, tt.network, shared, dscp.CS1))
			}
			holds(true, "one mark")
			odd := listenShared(t, tt.network, shared, dscp.EF)
			holds(false, "one of another mark")
			require.NoError(t, group[100].Close())
			holds(false, "one has gone")
			k.reflects = true
			cp, ok := k.SYNACKMark(addr, dscp.AF41)
			assert.True(t, ok)
			assert.Equal(t, dscp.AF41, cp, "reflected")
			k.reflects = false
			require.NoError(t, odd.Close())
			holds(true, "one mark again")
			for _, l := range append(group, first) {
				l.Close()
			}
			if tt.other != "0.0.0.0" {
				_, ok = k.SYNACKMark(addr, dscp.AF41)
				assert.False(t, ok, "no listener")
			}
		})
	}
}
