package dscptest_test

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
)

// remoteServer starts a server in a network namespace of its own, which marks
// what it accepts from the second byte on if mark is not DF. It returns its
// addresses, IPv4 and IPv6.
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

// TestRemoteUpstream puts boxes before a server on another host, as it were.
func TestRemoteUpstream(t *testing.T) {
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
		require.ErrorAs(t, err, &unsupported, "IPv4 cannot tell")

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
