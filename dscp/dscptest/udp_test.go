package dscptest_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// echoUDP returns datagrams to their senders until the test ends, with marks of
// its own if markAfter is not negative: from the datagram of that number on.
func echoUDP(t testing.TB, address string, markAfter int) string {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for i := 0; ; i++ {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if i == markAfter {
				markUDP(c.(*net.UDPConn), dscp.CS1, 0)
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c.LocalAddr().String()
}

// markUDP marks what a socket sends from now on, ECN bits included.
func markUDP(c *net.UDPConn, cp dscp.CodePoint, ecn int) error {
	if c.LocalAddr().(*net.UDPAddr).IP.To4() != nil {
		return ipv4.NewPacketConn(c).SetTOS(int(cp.TOS()) | ecn)
	}
	return ipv6.NewPacketConn(c).SetTrafficClass(int(cp.TOS()) | ecn)
}

func dialUDP(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.UDPConn)
}

// lost asks, and reports whether no answer came.
func lost(t testing.TB, c *net.UDPConn, question string) bool {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
	err := ask(c, question)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	if err == nil {
		return false
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	return true
}

func TestUDP(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, echoUDP(t, address, 2))
		c := dialUDP(t, box.UDPAddr())
		require.NoError(t, markUDP(c, dscp.AF21, 0))
		require.NoError(t, ask(c, "first"))
		require.NoError(t, markUDP(c, dscp.EF, 0))
		require.NoError(t, ask(c, "second"))
		require.NoError(t, ask(c, "third"))

		f := eventually(t, box, func(f dscptest.Flow) bool { return len(f.Changes) == 2 })
		assert.Equal(t, dscp.AF21, f.SYN)
		assert.True(t, f.Answered)
		assert.Equal(t, dscp.DF, f.SYNACK)
		assert.Equal(t, "client→server: AF21 → EF at byte 5", f.Changes[0].String())
		assert.Equal(t, "server→client: DF → CS1 at byte 11", f.Changes[1].String())
		assert.EqualValues(t, 16, f.ClientBytes)
		assert.EqualValues(t, 16, f.ServerBytes)
		assert.Equal(t, c.LocalAddr().String(), f.Client.String())
	})
}

func TestUDPModels(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("DropMarked", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.DropMarked(dscp.EF))
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			assert.True(t, lost(t, c, "marked"))
			require.NoError(t, markUDP(c, dscp.DF, 0))
			require.NoError(t, ask(c, "again"), "datagram by datagram")
			f := eventually(t, box, func(dscptest.Flow) bool { return true })
			assert.Equal(t, dscptest.Drop, f.Verdict)
		})
		t.Run("FlowKey", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.FlowKey)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			assert.True(t, lost(t, c, "marked"))
			require.NoError(t, markUDP(c, dscp.DF, 0))
			assert.True(t, lost(t, c, "too late"))
		})
		t.Run("VMware", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.VMware)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			require.NoError(t, ask(c, "TCP's affair"))
		})
	})
}

// TestUDPKeepsECN sends through a rewriter into a second box, and looks at the
// whole octet behind it.
func TestUDPKeepsECN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		for _, ecn := range []int{0, 1, 2, 3} {
			sink, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer sink.Close()
			require.NoError(t, sink.SetDeadline(time.Now().Add(patience)))
			tell, octet := octets(t, sink.(*net.UDPConn))
			require.NoError(t, tell())
			box := dscptest.NewMiddlebox(t, sink.LocalAddr().String(), dscptest.BleachToSPrecedence)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, markUDP(c, dscp.EF, ecn))
			_, err = c.Write([]byte("x"))
			require.NoError(t, err)
			assert.Equal(t, 6<<2|ecn, octet())
		}
	})
}

// TestUDPUpstreamDown keeps a flow whose server is not there yet.
func TestUDPUpstreamDown(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		keeper := dialUDP(t, echoUDP(t, address, -1)) // of a port: to others nobody is there
		upstream := keeper.LocalAddr().String()
		box := dscptest.NewMiddlebox(t, upstream)
		c := dialUDP(t, box.UDPAddr())
		assert.True(t, lost(t, c, "anybody?"))
		require.NoError(t, keeper.Close())
		srv, err := net.ListenPacket("udp", upstream)
		if err != nil {
			t.Skip("somebody else took the port: ", err)
		}
		defer srv.Close()
		_, err = c.Write([]byte("now?"))
		require.NoError(t, err)
		buf := make([]byte, 10)
		require.NoError(t, srv.SetReadDeadline(time.Now().Add(patience)))
		n, _, err := srv.ReadFrom(buf)
		require.NoError(t, err)
		assert.Equal(t, "now?", string(buf[:n]))
	})
}
