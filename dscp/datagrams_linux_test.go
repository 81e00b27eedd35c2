package dscp_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/trial"
	"github.com/godscp/godscp/internal/wire"
)

// A datagramSocket is a way to make a UDP socket whose datagrams may carry different
// marks.
type datagramSocket struct {
	udpSocket
	file bool // made by net.FileConn: connected, but net does not know it
	make func(t *testing.T, s datagramSettings, peer netip.AddrPort) *dscp.UDPConn
}

// to returns the address argument for WriteMarked.
func (s datagramSocket) to(peer netip.AddrPort) netip.AddrPort {
	if s.connected || s.file {
		return netip.AddrPort{}
	}
	return peer
}

// datagramSettings are the fields that a Dialer and a ListenConfig share.
type datagramSettings struct {
	dscp    dscp.CodePoint
	further []dscp.CodePoint
	natSafe bool
}

var datagramSockets = []datagramSocket{
	{udpSocket{name: "Dial IPv4", host: "127.0.0.1", connected: true}, false, dialDatagrams},
	{udpSocket{name: "Dial IPv6", host: "::1", connected: true}, false, dialDatagrams},
	{udpSocket{name: "DialUDP IPv4", host: "127.0.0.1", connected: true}, false, dialUDPDatagrams},
	{udpSocket{name: "DialUDP IPv6", host: "::1", connected: true}, false, dialUDPDatagrams},
	{udpSocket{name: "ListenPacket IPv4", host: "127.0.0.1"}, false, listenDatagrams("udp4", "127.0.0.1:0")},
	{udpSocket{name: "ListenPacket IPv4 wildcard", host: "127.0.0.1"}, false, listenDatagrams("udp4", ":0")},
	{udpSocket{name: "ListenPacket IPv6", host: "::1"}, false, listenDatagrams("udp6", "[::1]:0")},
	{udpSocket{name: "ListenPacket IPv6 wildcard", host: "::1"}, false, listenDatagrams("udp6", ":0")},
	{udpSocket{name: "ListenPacket dual stack to IPv4", host: "127.0.0.1", dual: true}, false, listenDatagrams("udp", ":0")},
	{udpSocket{name: "ListenPacket dual stack to IPv6", host: "::1", dual: true}, false, listenDatagrams("udp", ":0")},
	{udpSocket{name: "WrapPacket IPv4", host: "127.0.0.1"}, false, wrapDatagrams("udp4", "127.0.0.1:0")},
	{udpSocket{name: "WrapPacket dual stack to IPv4", host: "127.0.0.1", dual: true}, false, wrapDatagrams("udp", ":0")},
	{udpSocket{name: "WrapPacket dual stack to IPv6", host: "::1", dual: true}, false, wrapDatagrams("udp", ":0")},
	{udpSocket{name: "WrapPacket IPv4-mapped", host: "127.0.0.1"}, true, wrapMappedDatagrams},
}

func dialDatagrams(t *testing.T, s datagramSettings, peer netip.AddrPort) *dscp.UDPConn {
	t.Helper()
	c, err := (&dscp.Dialer{DSCP: s.dscp, Datagrams: s.further, NATSafe: s.natSafe}).Dial("udp", peer.String())
	require.NoError(t, err)
	return c.(*dscp.UDPConn)
}

func dialUDPDatagrams(t *testing.T, s datagramSettings, peer netip.AddrPort) *dscp.UDPConn {
	t.Helper()
	d := &dscp.Dialer{DSCP: s.dscp, Datagrams: s.further, NATSafe: s.natSafe}
	c, err := d.DialUDP(t.Context(), "udp", netip.AddrPort{}, peer)
	require.NoError(t, err)
	return c
}

func (s datagramSettings) listenConfig() *dscp.ListenConfig {
	return &dscp.ListenConfig{DSCP: s.dscp, Datagrams: s.further, NATSafe: s.natSafe}
}

func listenDatagrams(network, address string) func(*testing.T, datagramSettings, netip.AddrPort) *dscp.UDPConn {
	return func(t *testing.T, s datagramSettings, _ netip.AddrPort) *dscp.UDPConn {
		t.Helper()
		c, err := s.listenConfig().ListenPacket(t.Context(), network, address)
		require.NoError(t, err)
		return c.(*dscp.UDPConn)
	}
}

func wrapDatagrams(network, address string) func(*testing.T, datagramSettings, netip.AddrPort) *dscp.UDPConn {
	return func(t *testing.T, s datagramSettings, _ netip.AddrPort) *dscp.UDPConn {
		t.Helper()
		bare, err := net.ListenPacket(network, address)
		require.NoError(t, err)
		c, err := s.listenConfig().WrapPacket(bare.(*net.UDPConn))
		require.NoError(t, err)
		return c
	}
}

// wrapMappedDatagrams connects an IPv6 socket to an IPv4 peer, which net itself does
// not do.
func wrapMappedDatagrams(t *testing.T, s datagramSettings, peer netip.AddrPort) *dscp.UDPConn {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	file := os.NewFile(uintptr(fd), "mapped")
	defer file.Close() //nolint:errcheck // FileConn duplicates it
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet6{Port: int(peer.Port()), Addr: peer.Addr().As16()}))
	bare, err := net.FileConn(file)
	require.NoError(t, err)
	c, err := s.listenConfig().WrapPacket(bare.(*net.UDPConn))
	require.NoError(t, err)
	return c
}

// TestWireWriteMarked sends datagrams with three marks, and with ECN bits, by every
// method that can. The capture has each of them, in order, and none that was refused.
func TestWireWriteMarked(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const ect0, ce = 2, 3
	capture := wire.Start(t, "lo")
	for _, s := range datagramSockets {
		for _, pinned := range []dscp.CodePoint{dscp.EF, dscp.DF} {
			t.Run(s.name+"/"+mark(pinned), func(t *testing.T) {
				peer := sink(t, s.host)
				c := s.make(t, datagramSettings{dscp: pinned, further: []dscp.CodePoint{dscp.AF41, dscp.AF42}}, peer)
				defer c.Close() //nolint:errcheck // nothing is lost
				to := s.to(peer)
				var want []uint8
				n := 0
				next := func(octet uint8) []byte { want = append(want, octet); n++; return make([]byte, n) }
				marked := func(cp dscp.CodePoint, ecn uint8) {
					t.Helper()
					b := next(cp.TOS() | ecn)
					sent, err := c.WriteMarked(b, to, cp)
					require.NoError(t, err)
					require.Equal(t, len(b), sent)
				}
				refused := func(cp dscp.CodePoint) {
					t.Helper()
					sent, err := c.WriteMarked(make([]byte, 50), to, cp)
					require.ErrorIs(t, err, dscp.ErrMidFlow)
					require.Zero(t, sent)
					require.ErrorIs(t, s.sendMsg(c, make([]byte, 50), s.asking(int(cp.TOS())), peer), dscp.ErrMidFlow)
					require.ErrorIs(t, s.sendMsgAddrPort(c, make([]byte, 50), s.asking(int(cp.TOS())), peer), dscp.ErrMidFlow)
				}
				for range 3 {
					marked(dscp.AF41, 0)
					marked(pinned, 0)
					refused(dscp.CS1)
					marked(dscp.AF42, 0)
					require.NoError(t, s.send(c, next(pinned.TOS()), peer))
				}
				// The ECN bits of the socket.
				if s.host == "::1" {
					require.NoError(t, ipv6.NewPacketConn(c).SetTrafficClass(int(pinned.TOS()|ect0)))
				} else {
					require.NoError(t, ipv4.NewPacketConn(c).SetTOS(int(pinned.TOS()|ect0)))
				}
				marked(dscp.AF41, ect0)
				marked(pinned, ect0)
				// The ECN bits of a control message, whose DSCP 0 means the pinned mark.
				for _, cp := range []dscp.CodePoint{dscp.AF42, pinned, dscp.AF41} {
					require.NoError(t, s.sendMsg(c, next(cp.TOS()|ce), s.asking(int(cp.TOS()|ce)), peer))
					require.NoError(t, s.sendMsgAddrPort(c, next(cp.TOS()|ce), s.asking(int(cp.TOS()|ce)), peer))
					require.NoError(t, s.sendMsg(c, next(pinned.TOS()|ce), s.asking(ce), peer))
				}
				var batch []ipv4.Message
				for _, cp := range []dscp.CodePoint{dscp.AF41, pinned, dscp.AF42} {
					m := ipv4.Message{Buffers: [][]byte{next(cp.TOS() | ce)}, OOB: s.asking(int(cp.TOS() | ce))}
					if !s.connected {
						m.Addr = net.UDPAddrFromAddrPort(peer)
					}
					batch = append(batch, m)
				}
				sent, err := c.WriteBatch(batch, 0)
				require.NoError(t, err)
				require.Equal(t, len(batch), sent)
				batch[2].OOB = s.asking(int(dscp.CS1.TOS()))
				_, err = c.WriteBatch(batch, 0)
				require.ErrorIs(t, err, dscp.ErrMidFlow)

				require.NoError(t, c.Verify(), "the option of the socket is unchanged")
				_, err = c.WriteMarked(make([]byte, 1), to, 64)
				require.ErrorIs(t, err, dscp.ErrRange)
				marked(pinned, ect0)
				var got []uint8
				for _, p := range capture.Until(ended(peer, n)) {
					if p.Dst == peer {
						got = append(got, p.TOS)
						assert.Equal(t, len(got), p.Len, "in order, and no other datagram")
					}
				}
				assert.Equal(t, want, got)
			})
		}
	}
}

// TestWireWriteMarkedNATSafe checks that a mark in Datagrams is sent as its NATSafe
// mark, and that a program may also ask for the NATSafe mark itself.
func TestWireWriteMarkedNATSafe(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	for _, s := range datagramSockets {
		t.Run(s.name, func(t *testing.T) {
			peer := sink(t, s.host)
			c := s.make(t, datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.CS1, dscp.AF41}, natSafe: true}, peer)
			defer c.Close() //nolint:errcheck // nothing is lost
			to := s.to(peer)
			require.Equal(t, dscp.LowDelay, c.DSCP())
			for i, cp := range []dscp.CodePoint{dscp.CS1, dscp.Throughput, dscp.EF, dscp.LowDelay, dscp.AF41} {
				_, err := c.WriteMarked(make([]byte, 2*i), to, cp)
				require.NoError(t, err, "%v", cp)
				require.NoError(t, s.sendMsg(c, make([]byte, 2*i+1), s.asking(int(cp.TOS())), peer), "%v", cp)
			}
			for _, cp := range []dscp.CodePoint{dscp.AF11, dscp.AF42, dscp.DF, 5} {
				_, err := c.WriteMarked(make([]byte, 50), to, cp)
				require.ErrorIs(t, err, dscp.ErrMidFlow, "%v", cp)
			}
			const bulk, quick = 0x08, 0x10
			assert.Equal(t, []uint8{bulk, bulk, bulk, bulk, quick, quick, quick, quick, quick, quick}, datagrams(capture, peer, 9))
		})
	}
}

// TestWriteMarkedGSO checks that each datagram that the kernel cuts from one write has
// the mark.
func TestWriteMarkedGSO(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Messages, trial.Segmentation)
	for _, s := range datagramSockets {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := openSink(t, net.JoinHostPort(s.host, "0"))
			defer r.Close() //nolint:errcheck // nothing was sent
			peer := addrPort(r.LocalAddr())
			c := s.make(t, datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.AF41}}, peer)
			defer c.Close() //nolint:errcheck // nothing is lost
			to := s.to(peer)
			read := func(n int, want dscp.CodePoint) {
				t.Helper()
				got, cp, _ := nextDatagram(t, r)
				assert.Equal(t, n, got)
				assert.Equal(t, want, cp)
			}
			// The segment size in a control message, next to the one with the mark.
			oob := append(control(unix.SOL_UDP, unix.UDP_SEGMENT, 1000, 2), s.asking(int(dscp.AF41.TOS()))...)
			require.NoError(t, s.sendMsg(c, make([]byte, 2500), oob, peer))
			for _, n := range []int{1000, 1000, 500} {
				read(n, dscp.AF41)
			}
			// The segment size as a socket option.
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Control(func(fd uintptr) {
				assert.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000))
			}))
			for _, cp := range []dscp.CodePoint{dscp.AF41, dscp.EF} {
				n, err := c.WriteMarked(make([]byte, 2500), to, cp)
				require.NoError(t, err)
				assert.Equal(t, 2500, n)
				for _, n := range []int{1000, 1000, 500} {
					read(n, cp)
				}
			}
		})
	}
}

// TestDatagramsWithDF checks that 0 in a control message is sent as DF if Datagrams has
// DF. Otherwise it means the pinned mark.
func TestDatagramsWithDF(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Messages)
	for _, s := range datagramSockets {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := openSink(t, net.JoinHostPort(s.host, "0"))
			defer r.Close() //nolint:errcheck // nothing was sent
			peer := addrPort(r.LocalAddr())
			c := s.make(t, datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.DF}}, peer)
			defer c.Close() //nolint:errcheck // nothing is lost
			to := s.to(peer)
			_, err := c.WriteMarked([]byte{0}, to, dscp.DF)
			require.NoError(t, err)
			require.NoError(t, s.sendMsg(c, []byte{0}, s.asking(1), peer))
			require.NoError(t, s.send(c, []byte{0}, peer))
			for _, want := range []uint8{0, 1, dscp.EF.TOS()} {
				_, cp, ecn := nextDatagram(t, r)
				assert.Equal(t, want, cp.TOS()|ecn)
			}
		})
	}
}

// TestWriteMarkedAddress checks that the errors about an address are net's.
func TestWriteMarkedAddress(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Messages)
	peer := sink(t, "127.0.0.1")
	for _, cp := range []dscp.CodePoint{dscp.EF, dscp.AF41} {
		settings := datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.AF41}}
		dialled := dialDatagrams(t, settings, peer)
		_, err := dialled.WriteMarked([]byte{0}, peer, cp)
		require.ErrorIs(t, err, net.ErrWriteToConnected)
		require.NoError(t, dialled.Close())
		_, err = dialled.WriteMarked([]byte{0}, netip.AddrPort{}, cp)
		require.ErrorIs(t, err, net.ErrClosed)

		bound := listenDatagrams("udp4", "127.0.0.1:0")(t, settings, peer)
		defer bound.Close() //nolint:errcheck // nothing is lost
		_, err = bound.WriteMarked([]byte{0}, netip.AddrPort{}, cp)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "write", op.Op)
	}
}

func TestWriteMarkedAllocatesNothing(t *testing.T) {
	trial.Need(t, trial.Messages)
	peer := sink(t, "127.0.0.1")
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		c := listenDatagrams("udp", address)(t, datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.AF41}}, peer)
		defer c.Close() //nolint:errcheck // nothing is lost
		b := make([]byte, 100)
		for _, cp := range []dscp.CodePoint{dscp.EF, dscp.AF41} {
			assert.Zero(t, testing.AllocsPerRun(200, func() {
				if _, err := c.WriteMarked(b, peer, cp); err != nil {
					t.Error(err)
				}
			}), "%v on %s", cp, address)
		}
	}
}

// BenchmarkWriteMarked compares a datagram with the pinned mark, one with another mark,
// and one on a bare conn with a control message made beforehand to net's method
// without a control message, in the same run.
func BenchmarkWriteMarked(b *testing.B) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		far, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		require.NoError(b, err)
		defer far.Close() //nolint:errcheck // nothing was sent
		peer := addrPort(far.LocalAddr())
		lc := dscp.ListenConfig{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
		pc, err := lc.ListenPacket(b.Context(), "udp", net.JoinHostPort(host, "0"))
		require.NoError(b, err)
		defer pc.Close() //nolint:errcheck // nothing is lost
		c, payload := pc.(*dscp.UDPConn), make([]byte, 1200)
		marked := func(cp dscp.CodePoint) func() error {
			return func() error { _, err := c.WriteMarked(payload, peer, cp); return err }
		}
		byHand := udpSocket{host: host}.asking(int(dscp.AF41.TOS()))
		ways := []struct {
			name string
			send func() error
		}{
			{"plain", func() error { _, err := c.WriteToUDPAddrPort(payload, peer); return err }},
			{"pinned", marked(dscp.EF)},
			{"named", marked(dscp.AF41)},
			{"by-hand", func() error { _, _, err := c.UDPConn.WriteMsgUDPAddrPort(payload, byHand, peer); return err }},
		}
		b.Run(host, func(b *testing.B) {
			b.ReportAllocs()
			took := make([]time.Duration, len(ways))
			for b.Loop() {
				for i, way := range ways { // alternating, so that other load slows all of them
					begin := time.Now()
					for range 64 {
						if err := way.send(); err != nil {
							b.Fatal(err)
						}
					}
					took[i] += time.Since(begin)
				}
			}
			for i, way := range ways {
				b.ReportMetric(float64(took[i])/float64(64*b.N), way.name+"-ns")
			}
			for i, way := range ways[1:] {
				b.ReportMetric(took[0].Seconds()/took[i+1].Seconds(), way.name+"-throughput-ratio")
			}
		})
	}
}
