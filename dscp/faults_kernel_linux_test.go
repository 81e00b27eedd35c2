package dscp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/faults"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// A kernel without Multipath TCP refuses such sockets with one of three errors. net
// looks only once in each process, so each error has its own test process.

func TestFaultNoMultipathEPROTONOSUPPORT(t *testing.T) { noMultipath(t, unix.EPROTONOSUPPORT) }
func TestFaultNoMultipathEINVAL(t *testing.T)          { noMultipath(t, unix.EINVAL) }
func TestFaultNoMultipathENOPROTOOPT(t *testing.T)     { noMultipath(t, unix.ENOPROTOOPT) }

func noMultipath(t *testing.T, errno syscall.Errno) {
	t.Parallel()
	if !faults.Inside(t) {
		return
	}
	faults.RefuseSockets(0, unix.IPPROTO_MPTCP, errno)
	withoutMultipath(t, errno)
}

func TestFaultMultipathOff(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	if _, err := os.Stat("/proc/sys/net/mptcp"); errors.Is(err, os.ErrNotExist) {
		withoutMultipath(t, unix.EPROTONOSUPPORT) // a kernel built without it, such as Debian's 5.10
		return
	}
	testns.Current(t).Sysctl("net.mptcp.enabled", "0")
	withoutMultipath(t, unix.ENOPROTOOPT)
}

// withoutMultipath checks that dialers and listeners which ask for Multipath TCP get
// marked plain TCP.
func withoutMultipath(t *testing.T, errno syscall.Errno) {
	t.Helper()
	_, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	require.Equal(t, errno, err)
	capture := wire.Start(t, "lo")
	nd := new(net.Dialer)
	nd.SetMultipathTCP(true)
	nlc := new(net.ListenConfig)
	nlc.SetMultipathTCP(true)
	for _, fam := range families {
		t.Run(fam.name, func(t *testing.T) {
			dial := dialled(dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21})
			proveFlow(t, capture, fam, dial, listened(dscp.ListenConfig{NetListenConfig: nlc, DSCP: dscp.EF}), dscp.AF21, dscp.EF)
			proveFlow(t, capture, fam, dialled(dscp.Dialer{NetDialer: nd}), listened(dscp.ListenConfig{}), dscp.DF, dscp.DF)
			proveFlow(t, capture, fam, (&net.Dialer{Control: dscp.Control(dscp.AF21)}).Dial, func(network, address string) (net.Listener, error) {
				return (&net.ListenConfig{Control: dscp.Control(dscp.EF)}).Listen(t.Context(), network, address)
			}, dscp.AF21, dscp.EF)
		})
	}
	keepGarbage(t)
	run := func() {
		for _, fam := range families {
			l, address := listenIn(t, fam)
			c, err := (&dscp.Dialer{NetDialer: nd}).Dial("tcp", address)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, l.Close())
		}
	}
	run() // opens the descriptors that the runtime keeps
	before := leftovers(t)
	run()
	requireNothingLeft(t, before)
}

// TestFaultIPv6Disabled switches IPv6 off by sysctl: IPv6 sockets can be made, but reach
// no address.
func TestFaultIPv6Disabled(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	withoutIPv6(t, unix.EADDRNOTAVAIL)
}

// TestFaultNoIPv6 runs as on a kernel without IPv6.
func TestFaultNoIPv6(t *testing.T) {
	t.Parallel()
	if !faults.Inside(t) {
		return
	}
	faults.RefuseSockets(unix.AF_INET6, 0, unix.EAFNOSUPPORT)
	withoutIPv6(t, unix.EAFNOSUPPORT)
}

func withoutIPv6(t *testing.T, errno syscall.Errno) {
	t.Helper()
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	keepGarbage(t)
	names := serveNames(t, 0, "::1", "127.0.0.1")
	before := leftovers(t)
	lc := dscp.ListenConfig{DSCP: dscp.EF}
	for _, address := range []string{":0", "127.0.0.1:0"} {
		l, err := lc.Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		requireFlow(t, l, net.JoinHostPort("127.0.0.1", port))

		for name, d := range map[string]dscp.Dialer{
			"plain":    {DSCP: dscp.AF21},
			"Fallback": {DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour},
		} {
			_, err = d.Dial("tcp", "[::1]:"+port)
			require.ErrorIs(t, err, errno, name)
			assert.ErrorContains(t, err, "dial tcp [::1]:"+port)
			assert.ErrorContains(t, err, "AF21")
			assert.Empty(t, attemptErrors(err), "another mark would not help: %v", err)

			d.NetDialer = &net.Dialer{Resolver: names}
			c, err := d.Dial("tcp", net.JoinHostPort("many.example", port))
			require.NoError(t, err, "the IPv4 address of the name")
			assert.Equal(t, dscp.AF21, c.(*dscp.Conn).DSCP())
			peer := accepted(t, l.(*dscp.Listener), c)
			mark, ok := peer.PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.AF21, mark, "on the wire")
			require.ErrorIs(t, ipv4.NewConn(c).SetTOS(int(dscp.CS1.TOS())), dscp.ErrMidFlow)
			require.NoError(t, peer.Close())
			require.NoError(t, c.Close())
		}
		require.NoError(t, l.Close())

		pc, err := lc.ListenPacket(t.Context(), "udp", address)
		require.NoError(t, err)
		sink := openSink(t, "127.0.0.1:0")
		_, err = pc.WriteTo([]byte{'?'}, sink.LocalAddr())
		require.NoError(t, err)
		assert.Equal(t, dscp.EF, arrived(t, sink), "on the wire")
		require.NoError(t, sink.Close())
		require.NoError(t, pc.Close())
	}
	_, err := lc.Listen(t.Context(), "tcp", "[::1]:0")
	require.ErrorIs(t, err, errno)
	_, err = lc.ListenPacket(t.Context(), "udp", "[::1]:0")
	require.ErrorIs(t, err, errno)
	_, err = (&dscp.Dialer{DSCP: dscp.AF21}).Dial("udp", "[::1]:9")
	require.ErrorIs(t, err, errno)
	requireNothingLeft(t, before)
}

// TestFaultNoRoutes runs in a namespace without a network: not even loopback is up.
func TestFaultNoRoutes(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Run("ip", "link", "set", "lo", "down")
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	run := func() {
		for _, address := range []string{"192.0.2.1:22", "[2001:db8::1]:22", "[::1]:22"} {
			for _, network := range []string{"tcp", "udp"} {
				d := dscp.Dialer{DSCP: dscp.AF21}
				_, err := d.Dial(network, address)
				requireNoRoute(t, err)
				assert.ErrorContains(t, err, "dial "+network+" "+address+": with DSCP AF21: connect: ")
			}
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour}
			_, err := d.Dial("tcp", address)
			if !errors.Is(err, unix.ENETUNREACH) {
				requireNoRoute(t, err)
				continue
			}
			require.Len(t, attemptErrors(err), 3, "routing may depend on the mark, so each is tried: %v", err)
			for _, err := range attemptErrors(err) {
				requireNoRoute(t, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, NetDialer: &net.Dialer{Resolver: &net.Resolver{PreferGo: true}}}
		_, err := d.DialContext(ctx, "tcp", "many.example:22")
		_, ok := errors.AsType[*net.DNSError](err)
		require.True(t, ok, "%v", err)
		require.NoError(t, ctx.Err(), "the lookup fails before the deadline")

		l, err := (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), "tcp", ":0")
		require.NoError(t, err, "the network may come later")
		pc, err := (&dscp.ListenConfig{DSCP: dscp.EF}).ListenPacket(t.Context(), "udp", ":0")
		require.NoError(t, err)
		assert.Equal(t, dscp.EF, pc.(*dscp.UDPConn).DSCP())
		_, _, err = pc.(*dscp.UDPConn).WriteMsgUDP([]byte{'?'}, nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9})
		require.ErrorIs(t, err, unix.ENETUNREACH)
		closed := make(chan error)
		go func() {
			_, err := l.Accept()
			closed <- err
		}()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-closed, net.ErrClosed)
		require.NoError(t, pc.Close())
	}
	keepGarbage(t)
	run() // opens the descriptors that the runtime keeps
	before := leftovers(t)
	run()
	requireNothingLeft(t, before)
}

// requireNoRoute requires that err is that there is no route, or for IPv6 no source
// address.
func requireNoRoute(t *testing.T, err error) {
	t.Helper()
	require.True(t, errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL), "%v", err)
}
