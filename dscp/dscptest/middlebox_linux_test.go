package dscptest_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestSocketsAreOnLoopback looks at the sockets of this process. For any upstream and
// any configuration, no socket that another host could reach is bound to anything but
// loopback.
func TestSocketsAreOnLoopback(t *testing.T) { // not parallel: other tests have sockets too
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6, dscptest.DropSYN)
	configs := map[string]dscptest.Config{
		"no model":       {},
		"a SYN sink":     {Models: []dscptest.Model{dscptest.DropMarked(dscp.EF), dscptest.VMware}, Inside: dscptest.Client},
		"SYN-ACK marked": {Models: []dscptest.Model{dscptest.Remark(dscp.AF21)}, Inside: dscptest.Client, Delay: 1},
		"off the wire":   {Sensor: dscptest.WireEvery},
	}
	for _, upstream := range []string{
		"127.0.0.1:9", "0.0.0.0:9", "[::]:9", "192.0.2.1:9", "[2001:db8::1]:9", "[::ffff:192.0.2.1]:9",
	} {
		for name, config := range configs {
			t.Run(upstream+"/"+name, func(t *testing.T) {
				config.Upstream = upstream
				before := openSockets(t)
				box, err := config.Start()
				if config.Sensor == dscptest.WireEvery && errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err) // it needs a privilege
				}
				require.NoError(t, err)
				defer box.Close()
				for _, addr := range []string{box.Addr(), box.UDPAddr()} {
					require.True(t, netip.MustParseAddrPort(addr).Addr().IsLoopback(), addr)
				}
				c, err := net.Dial("udp", box.UDPAddr())
				require.NoError(t, err)
				defer c.Close()
				_, err = c.Write([]byte("has the box make a socket of its own"))
				require.NoError(t, err)
				bound := 0
				for inode, s := range openSockets(t) {
					if _, old := before[inode]; old || s.remote.Port() != 0 {
						continue // a connected socket receives only from its peer
					}
					bound++
					assert.True(t, s.local.Addr().Unmap().IsLoopback(), "%s socket on %v", s.table, s.local)
				}
				assert.GreaterOrEqual(t, bound, 2, "those of Addr and UDPAddr")
			})
		}
	}
}

// A socketEntry is a line of /proc/net.
type socketEntry struct {
	table         string
	local, remote netip.AddrPort
}

// openSockets returns the TCP and UDP sockets of this process, by inode.
func openSockets(t *testing.T) map[string]socketEntry {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	ours := make(map[string]bool)
	for _, fd := range fds {
		link, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // it may be closed by now
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			ours[strings.TrimSuffix(inode, "]")] = true
		}
	}
	sockets := make(map[string]socketEntry)
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table)
		if os.IsNotExist(err) {
			continue // no IPv6
		}
		require.NoError(t, err)
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			if fields := strings.Fields(line); i > 0 && ours[fields[9]] {
				sockets[fields[9]] = socketEntry{table, procAddr(t, fields[1]), procAddr(t, fields[2])}
			}
		}
	}
	return sockets
}

// procAddr parses an address: hexadecimal 32-bit words in the byte order of the machine.
func procAddr(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	require.NoError(t, err)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		for w := range slices.Chunk(b, 4) {
			slices.Reverse(w)
		}
	}
	addr, ok := netip.AddrFromSlice(b)
	require.True(t, ok)
	var n uint16
	_, err = fmt.Sscanf(port, "%X", &n)
	require.NoError(t, err)
	return netip.AddrPortFrom(addr, n)
}

// remoteServer starts a server in another network namespace. If mark is not DF, the
// server marks each connection after the first byte. remoteServer returns its IPv4 and
// its IPv6 address.
func remoteServer(t *testing.T, later dscp.CodePoint) []string {
	t.Helper()
	here, there := testns.Current(t), testns.New(t)
	prefixes := func(s ...string) (ps []netip.Prefix) {
		for _, p := range s {
			ps = append(ps, netip.MustParsePrefix(p))
		}
		return ps
	}
	testns.Connect(
		testns.End{Net: here, Name: "near", Addresses: prefixes("192.0.2.1/24", "2001:db8::1/64")},
		testns.End{Net: there, Name: "far", Addresses: prefixes("192.0.2.2/24", "2001:db8::2/64")})
	var addresses []string
	for _, address := range []string{"192.0.2.2:0", "[2001:db8::2]:0"} {
		var l net.Listener
		there.Do(func() {
			var err error
			l, err = net.Listen("tcp", address)
			require.NoError(t, err)
		})
		addresses = append(addresses, l.Addr().String())
		var conns sync.WaitGroup
		conns.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				conns.Go(func() {
					defer c.Close()
					io.CopyN(c, c, 1)
					if later != dscp.DF {
						c.Read(make([]byte, 1))
						mark(c, later)
						c.Write([]byte("!"))
					}
					io.Copy(c, c)
				})
			}
		})
		t.Cleanup(func() {
			l.Close()
			conns.Wait()
		})
	}
	return addresses
}

// TestRemoteUpstream starts boxes in front of a server in another network namespace.
func TestRemoteUpstream(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	servers := remoteServer(t, dscp.CS1)
	for i, server := range servers {
		t.Run(families[i].name, func(t *testing.T) {
			box := dscptest.Config{Upstream: server, Models: []dscptest.Model{dscptest.VMware}, Inside: dscptest.Client}.NewMiddlebox(t)
			c := dialMarked(t, box.Addr(), dscp.AF21)
			for range 3 {
				require.NoError(t, ask(c, "x"), "the server is outside")
			}
			require.NoError(t, mark(c, dscp.EF))
			err := ask(c, "x")
			assert.True(t, broken(c, err), "%v", err)
		})
	}
	t.Run("a server that changes", func(t *testing.T) {
		_, err := dscptest.Config{Upstream: servers[0], Models: []dscptest.Model{dscptest.VMware}, Sensor: dscptest.SocketOption}.Start()
		var unsupported *dscp.UnsupportedError
		require.ErrorAs(t, err, &unsupported, "no sensor for a remote server on IPv4")

		box := dscptest.NewMiddlebox(t, servers[1], dscptest.VMware)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "x"))
		err = ask(c, "x")
		if err == nil {
			err = ask(c, "x")
		}
		assert.True(t, broken(c, err), "%v", err)
		f := box.Flows()[0]
		assert.Equal(t, dscptest.Reset, f.Verdict)
		assert.Equal(t, "VMware: the server's mark went from DF to CS1", f.Reason)
	})
}

// TestReflectedMarkIsNoChange has the kernel reflect the mark of the SYN. The listener is
// unmarked, and its connections are not.
func TestReflectedMarkIsNoChange(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.VMware, dscptest.FlowKey)
			for _, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.EF} {
				c := dialMarked(t, box.Addr(), cp)
				require.NoError(t, ask(c, "hello"))
				require.NoError(t, ask(c, "again"))
			}
			for i, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.EF} {
				f := box.Flows()[i]
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				assert.Equal(t, cp, f.SYN)
				assert.Equal(t, cp, f.SYNACK)
			}
		})
	}
}

// TestSYNCookies has the kernel answer with SYN cookies and save no SYN. The box reads the
// mark of the next segment, and its SYN sink still discards the right SYNs.
func TestSYNCookies(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_syncookies", "2")
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := dscptest.NewMiddlebox(t, serve(t, family.address, echo), dscptest.VMware, dscptest.DropMarked(dscp.EF))
			timesOut(t, box.Addr(), dscp.EF)
			c := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(c, "hello"))
			f := eventually(t, box, func(dscptest.Flow) bool { return true })
			assert.Equal(t, dscp.AF21, f.SYN)
			require.NoError(t, mark(c, dscp.CS1))
			err := ask(c, "again")
			assert.True(t, broken(c, err), "%v", err)
		})
	}
}

// TestSYNACKFollowsUpstream has a server change the mark of its listener. From the second
// client on, the SYN-ACK of the box has the new mark.
func TestSYNACKFollowsUpstream(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			lc := net.ListenConfig{}
			lc.SetMultipathTCP(false) // an MPTCP listener cannot be marked
			network := map[string]string{"IPv4": "tcp4", "IPv6": "tcp6"}[family.name]
			l, err := lc.Listen(t.Context(), network, family.address)
			require.NoError(t, err)
			defer l.Close()
			box := dscptest.NewMiddlebox(t, l.Addr().String())
			capture := wire.Start(t, "lo", ports(box.Addr())...)
			raw, err := l.(*net.TCPListener).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, dscp.Control(dscp.CS3)(network, l.Addr().String(), raw))
			for i, want := range []dscp.CodePoint{dscp.DF, dscp.CS3} {
				c := dial(t, box.Addr())
				s, err := l.Accept()
				require.NoError(t, err)
				defer s.Close()
				packets := capture.Until(func(p wire.Packet) bool { return p.Has(wire.SYN | wire.ACK) })
				assert.EqualValues(t, want, packets[len(packets)-1].DSCP(), "client %d", i+1)
				_, err = s.Write([]byte("x")) // the box has seen the answer when this arrives
				require.NoError(t, err)
				_, err = c.Read(make([]byte, 1))
				require.NoError(t, err)
				assert.Equal(t, dscp.CS3, box.Flows()[i].SYNACK)
			}
		})
	}
}
