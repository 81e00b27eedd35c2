package dscptest_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/long"
)

func TestUDPRecordsChanges(t *testing.T) {
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

func TestModelsJudgeDatagrams(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("DropMarked", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.DropMarked(dscp.EF))
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			assert.True(t, lost(t, c, "marked"))
			require.NoError(t, markUDP(c, dscp.DF, 0))
			require.NoError(t, ask(c, "again"), "each datagram is judged by itself")
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

// TestUDPUpstreamComesUpLater starts the server after the first datagram of a flow.
func TestUDPUpstreamComesUpLater(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		keeper := dialUDP(t, echoUDP(t, address, -1)) // connected to another address, so that the port refuses datagrams
		upstream := keeper.LocalAddr().String()
		box := dscptest.NewMiddlebox(t, upstream)
		c := dialUDP(t, box.UDPAddr())
		assert.True(t, lost(t, c, "anybody?"))
		require.NoError(t, keeper.Close())
		srv, err := net.ListenPacket("udp", upstream)
		if err != nil {
			t.Skip("another socket took the port: ", err)
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

// dialUDPFrom is dialUDP with a mark and a local address; "" means any. It returns nil if
// another socket has that address.
func dialUDPFrom(t testing.TB, local, address string, cp dscp.CodePoint) *net.UDPConn {
	t.Helper()
	d := net.Dialer{Control: dscp.Control(cp)}
	if local != "" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))
	}
	c, err := d.Dial("udp", address)
	if errors.Is(err, errInUse) && local != "" { // another test has the port
		return nil
	}
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.UDPConn)
}

// TestSocketsOnOnePortAreTwoFlows has two sockets use a port, one after the other, each
// with one mark.
func TestSocketsOnOnePortAreTwoFlows(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		r := &recorder{TB: t}
		box := dscptest.NewMiddlebox(r, echoUDP(t, address, -1), dscptest.OneMark)
		first := dialUDPFrom(t, "", box.UDPAddr(), dscp.AF21)
		port := first.LocalAddr().String()
		require.NoError(t, ask(first, "hello"))
		require.NoError(t, first.Close())
		second := dialUDPFrom(t, port, box.UDPAddr(), dscp.EF)
		if second == nil {
			t.Skip("another socket took the port")
		}
		for range 3 {
			require.NoError(t, ask(second, "hello"))
		}
		r.finish()
		assert.Empty(t, r.errors)
		flows := box.Flows()
		require.Len(t, flows, 2)
		assert.Equal(t, []dscp.CodePoint{dscp.AF21, dscp.EF}, []dscp.CodePoint{flows[0].SYN, flows[1].SYN})
		assert.EqualValues(t, 15, flows[1].ServerBytes)
		for _, f := range flows {
			assert.Empty(t, f.Changes)
			assert.True(t, f.Over)
		}
	})
}

// TestDatagramsOfClosedSocketsAreNotBlamed has sockets send one or two datagrams each from
// one port and close, with or without an answer. The box cannot always know which socket
// sent a datagram.
func TestDatagramsOfClosedSocketsAreNotBlamed(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		for name, upstream := range map[string]string{
			"unanswered": serveUDP(t, address, func(*net.UDPConn, []byte) bool { return false }),
			"answered":   echoUDP(t, address, -1),
		} {
			t.Run(name, func(t *testing.T) {
				r := &recorder{TB: t}
				box := dscptest.NewMiddlebox(r, upstream, dscptest.OneMark)
				port := ""
				for i := range long.N(500, 20_000) {
					c := dialUDPFrom(t, port, box.UDPAddr(), []dscp.CodePoint{dscp.AF21, dscp.EF, dscp.CS1}[i%3])
					if c == nil {
						port = ""
						continue
					}
					port = c.LocalAddr().String()
					for range 1 + i%2 {
						_, err := c.Write([]byte("x"))
						require.True(t, err == nil || errors.Is(err, errRefused), "%v", err) // an answer found the port closed
					}
					require.NoError(t, c.Close())
				}
				r.finish()
				assert.Empty(t, r.errors)
			})
		}
	})
}

// TestOneMarkJudgesDatagrams has one socket change its mark, after an answer or after a
// second datagram with the first mark.
func TestOneMarkJudgesDatagrams(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		for name, before := range map[string]func(t *testing.T, box *dscptest.Middlebox, c *net.UDPConn){
			"answered": func(t *testing.T, _ *dscptest.Middlebox, c *net.UDPConn) {
				require.NoError(t, ask(c, "hello"))
			},
			"twice": func(t *testing.T, box *dscptest.Middlebox, c *net.UDPConn) {
				for n := range int64(2) {
					_, err := c.Write([]byte("quiet"))
					require.NoError(t, err)
					eventually(t, box, func(f dscptest.Flow) bool { return f.ClientBytes == 5*(n+1) })
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				upstream := serveUDP(t, address, func(_ *net.UDPConn, b []byte) bool { return string(b) != "quiet" })
				reported := func() bool {
					r := &recorder{TB: t}
					box := dscptest.NewMiddlebox(r, upstream, dscptest.OneMark)
					c := dialUDPFrom(t, "", box.UDPAddr(), dscp.AF21)
					before(t, box, c)
					require.NoError(t, markUDP(c, dscp.EF, 0))
					require.NoError(t, ask(c, "again"))
					r.finish()
					if len(r.errors) == 0 {
						return false
					}
					require.Len(t, r.errors, 1)
					assert.Contains(t, r.errors[0], "OneMark: the client's mark went from AF21 to EF")
					return true
				}
				// On a busy machine the kernel may answer too late for the box to be sure.
				tries := 1
				for begin := time.Now(); !reported(); tries++ {
					require.Less(t, time.Since(begin), patience)
				}
				t.Logf("reported at attempt %d", tries)
			})
		}
	})
}

// TestRestartedServerIsNotBlamed restarts a server with another mark.
func TestRestartedServerIsNotBlamed(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		needMarks(t)
		listen := func(address string, cp dscp.CodePoint) *net.UDPConn {
			lc := net.ListenConfig{Control: dscp.Control(cp)}
			c, err := lc.ListenPacket(t.Context(), "udp", address)
			if errors.Is(err, errInUse) {
				t.Skip("another socket took the port")
			}
			require.NoError(t, err)
			require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
			return c.(*net.UDPConn)
		}
		answer := func(s, c *net.UDPConn) {
			t.Helper()
			_, err := c.Write([]byte("question"))
			require.NoError(t, err)
			b := make([]byte, 20)
			n, from, err := s.ReadFrom(b)
			require.NoError(t, err)
			_, err = s.WriteTo(b[:n], from)
			require.NoError(t, err)
			_, err = c.Read(b)
			require.NoError(t, err)
		}
		r := &recorder{TB: t}
		server := listen(address, dscp.CS1)
		box := dscptest.NewMiddlebox(r, server.LocalAddr().String(), dscptest.OneMark)
		c := dialUDPFrom(t, "", box.UDPAddr(), dscp.AF21)
		answer(server, c)
		answer(server, c)
		require.NoError(t, server.Close())
		server = listen(server.LocalAddr().String(), dscp.CS2)
		defer server.Close()
		answer(server, c)
		answer(server, c)
		r.finish()
		assert.Empty(t, r.errors)
		require.Len(t, box.Flows(), 1)
		assert.Len(t, box.Flows()[0].Changes, 1, "the change is recorded")
	})
}
