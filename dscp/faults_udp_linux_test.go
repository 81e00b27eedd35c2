package dscp_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// faultyDatagrams open UDP sockets and send from them.
func faultyDatagrams() []operation {
	var all []operation
	for _, fam := range families[:2] {
		for _, u := range []struct {
			name string
			open func(t *testing.T, to string) (net.Conn, error)
			less bool
			want dscp.CodePoint
		}{
			{"DialContext", func(t *testing.T, to string) (net.Conn, error) {
				return (&dscp.Dialer{DSCP: dscp.AF21}).DialContext(t.Context(), "udp", to)
			}, false, dscp.AF21},
			{"DialUDP", func(t *testing.T, to string) (net.Conn, error) {
				c, err := (&dscp.Dialer{DSCP: dscp.AF21}).DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort(to))
				if err != nil {
					return nil, err
				}
				return c, nil
			}, false, dscp.AF21},
			{"unmarked", func(t *testing.T, to string) (net.Conn, error) {
				return (&dscp.Dialer{}).DialContext(t.Context(), "udp", to)
			}, false, dscp.DF},
			{"AllowUnmarked", func(t *testing.T, to string) (net.Conn, error) {
				return (&dscp.Dialer{DSCP: dscp.AF21, AllowUnmarked: true}).DialContext(t.Context(), "udp", to)
			}, true, dscp.AF21},
			{"Marked", func(t *testing.T, to string) (net.Conn, error) {
				return (&dscp.Dialer{DSCP: dscp.AF21}).Marked().DialContext(t.Context(), "udp", to)
			}, false, dscp.AF21},
		} {
			all = append(all, operation{"udp/" + fam.name + "/" + u.name, func(t *testing.T, f *fault) {
				sink := openSink(t, fam.listen)
				defer sink.Close()
				to := sink.LocalAddr().String()
				var c net.Conn
				var err error
				f.during(func() { c, err = u.open(t, to) })
				if err != nil {
					require.Nil(t, c)
					cp := u.want
					if _, marked := f.marking(); u.name == "Marked" && !marked {
						cp = dscp.DF
					}
					f.explains(t, err, "dial, pin", "udp", to, cp)
					return
				}
				defer c.Close()
				_, err = c.Write([]byte{'?'})
				require.NoError(t, err)
				mark := arrived(t, sink)
				if !u.less || mark != dscp.DF {
					assert.Equal(t, u.want, mark, "on the wire")
				}
				if pinned, ok := c.(*dscp.UDPConn); ok {
					assert.Equal(t, mark, pinned.DSCP(), "DSCP is the mark on the wire")
				}
			}})
		}
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		all = append(all,
			operation{"udp/" + address + "/ListenPacket", func(t *testing.T, f *fault) {
				listenPacket(t, f, dscp.ListenConfig{DSCP: dscp.AF21}, address)
			}},
			operation{"udp/" + address + "/ListenPacket, AllowUnmarked", func(t *testing.T, f *fault) {
				listenPacket(t, f, dscp.ListenConfig{DSCP: dscp.AF21, AllowUnmarked: true}, address)
			}},
			operation{"udp/" + address + "/ReceiveMarks", func(t *testing.T, f *fault) { receiveMarks(t, f, address) }},
			operation{"udp/" + address + "/WriteMsgUDP", func(t *testing.T, f *fault) { writeMsg(t, f, address) }},
		)
	}
	return all
}

// hostsOf returns an address of each family that a socket bound to address can reach.
func hostsOf(address string) []string {
	if address == "[::]:0" {
		return []string{"127.0.0.1:0", "[::1]:0"}
	}
	return []string{address}
}

// openSink returns a socket that receives datagrams with their marks.
func openSink(t *testing.T, address string) *dscp.UDPConn {
	t.Helper()
	pc, err := (&dscp.ListenConfig{}).ListenPacket(t.Context(), "udp", address)
	require.NoError(t, err)
	c := pc.(*dscp.UDPConn)
	require.NoError(t, c.ReceiveMarks())
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// nextDatagram returns the size, the mark and the ECN bits of the next datagram.
func nextDatagram(t *testing.T, sink *dscp.UDPConn) (n int, mark dscp.CodePoint, ecn uint8) {
	t.Helper()
	oob := make([]byte, 128)
	n, oobn, _, _, err := sink.ReadMsgUDP(make([]byte, 1500), oob)
	require.NoError(t, err)
	mark, ecn, ok := dscp.ReceivedMark(oob[:oobn])
	require.True(t, ok)
	return n, mark, ecn
}

// arrived returns the mark of the next datagram.
func arrived(t *testing.T, sink *dscp.UDPConn) dscp.CodePoint {
	t.Helper()
	_, mark, _ := nextDatagram(t, sink)
	return mark
}

func udpTo(sink *dscp.UDPConn) *net.UDPAddr { return sink.LocalAddr().(*net.UDPAddr) }

func listenPacket(t *testing.T, f *fault, lc dscp.ListenConfig, address string) {
	var pc net.PacketConn
	var err error
	f.during(func() { pc, err = lc.ListenPacket(t.Context(), "udp", address) })
	if err != nil {
		require.Nil(t, pc)
		cp := dscp.DF
		if _, marked := f.marking(); marked && err.(*net.OpError).Op == "listen" {
			cp = lc.DSCP // net's own errors name no mark
		}
		f.explains(t, err, "listen, pin", "udp", "", cp)
		return
	}
	defer pc.Close()
	c := pc.(*dscp.UDPConn)
	require.NoError(t, c.Verify())
	for _, host := range hostsOf(address) {
		sink := openSink(t, host)
		_, err = c.WriteTo([]byte{'?'}, udpTo(sink))
		require.NoError(t, err)
		mark := arrived(t, sink)
		if !lc.AllowUnmarked || mark != dscp.DF {
			assert.Equal(t, lc.DSCP, mark, "on the wire")
		}
		if host == "[::1]:0" || address == host { // on a dual-stack socket DSCP is the mark for IPv6
			assert.Equal(t, mark, c.DSCP(), "DSCP is the mark on the wire")
		}
		require.NoError(t, sink.Close())
	}
}

func receiveMarks(t *testing.T, f *fault, address string) {
	pc, err := (&dscp.ListenConfig{}).ListenPacket(t.Context(), "udp", address)
	require.NoError(t, err)
	defer pc.Close()
	c := pc.(*dscp.UDPConn)
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	f.during(func() { err = c.ReceiveMarks() })
	if err != nil {
		f.explains(t, err, "receive", "udp", c.LocalAddr().String(), dscp.DF)
		return
	}
	_, port, err := net.SplitHostPort(c.LocalAddr().String())
	require.NoError(t, err)
	for _, host := range hostsOf(address) {
		host, _, _ = net.SplitHostPort(host)
		from, err := (&dscp.Dialer{DSCP: dscp.EF}).Dial("udp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		_, err = from.Write([]byte{'?'})
		require.NoError(t, err)
		assert.Equal(t, dscp.EF, arrived(t, c), "from %s", host)
		require.NoError(t, from.Close())
	}
}

func writeMsg(t *testing.T, f *fault, address string) {
	pc, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).ListenPacket(t.Context(), "udp", address)
	require.NoError(t, err)
	defer pc.Close()
	c := pc.(*dscp.UDPConn)
	for _, host := range hostsOf(address) {
		sink := openSink(t, host)
		f.during(func() { _, _, err = c.WriteMsgUDP([]byte{'?'}, nil, udpTo(sink)) })
		if err != nil {
			f.explains(t, err, "write", "udp", sink.LocalAddr().String(), dscp.DF)
			_, _, err = c.WriteMsgUDP([]byte{'?'}, nil, udpTo(sink)) // the socket is still usable
			require.NoError(t, err)
		}
		assert.Equal(t, dscp.AF21, arrived(t, sink), "on the wire")
		require.NoError(t, sink.Close())
	}
	require.NoError(t, c.Verify())
}
