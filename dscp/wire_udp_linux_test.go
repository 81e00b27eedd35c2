package dscp_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// sink returns the address of a UDP socket that is never read.
func sink(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() }) //nolint:errcheck,gosec // nothing was sent
	return addrPort(c.LocalAddr())
}

// A udpSocket is a way to make a pinned UDP socket that sends to a peer.
type udpSocket struct {
	name, host string
	open       func(t *testing.T, cp dscp.CodePoint, peer netip.AddrPort, control hook) *dscp.UDPConn
	connected  bool
	dual       bool // a dual-stack socket
}

type hook = func(network, address string, c syscall.RawConn) error

func dialUDP(t *testing.T, cp dscp.CodePoint, peer netip.AddrPort, control hook) *dscp.UDPConn {
	t.Helper()
	d := dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Control: control}}
	c, err := d.Dial("udp", peer.String())
	require.NoError(t, err)
	return c.(*dscp.UDPConn)
}

func listenUDP(network, address string) func(*testing.T, dscp.CodePoint, netip.AddrPort, hook) *dscp.UDPConn {
	return func(t *testing.T, cp dscp.CodePoint, _ netip.AddrPort, control hook) *dscp.UDPConn {
		t.Helper()
		lc := dscp.ListenConfig{DSCP: cp, NetListenConfig: &net.ListenConfig{Control: control}}
		c, err := lc.ListenPacket(context.Background(), network, address)
		require.NoError(t, err)
		return c.(*dscp.UDPConn)
	}
}

var udpSockets = []udpSocket{
	{name: "Dial IPv4", host: "127.0.0.1", open: dialUDP, connected: true},
	{name: "Dial IPv6", host: "::1", open: dialUDP, connected: true},
	{name: "DialUDP IPv4", host: "127.0.0.1", open: openDialUDP("udp4"), connected: true},
	{name: "DialUDP IPv6", host: "::1", open: openDialUDP("udp6"), connected: true},
	{name: "ListenPacket IPv4", host: "127.0.0.1", open: listenUDP("udp4", "127.0.0.1:0")},
	{name: "ListenPacket IPv4 wildcard", host: "127.0.0.1", open: listenUDP("udp4", ":0")},
	{name: "ListenPacket IPv6", host: "::1", open: listenUDP("udp6", "[::1]:0")},
	{name: "ListenPacket IPv6 wildcard", host: "::1", open: listenUDP("udp6", ":0")},
	{name: "ListenPacket dual stack to IPv4", host: "127.0.0.1", open: listenUDP("udp", ":0"), dual: true},
	{name: "ListenPacket dual stack to IPv6", host: "::1", open: listenUDP("udp", ":0"), dual: true},
	{name: "WrapPacket IPv4", host: "127.0.0.1", open: wrapUDP("udp4", "127.0.0.1:0")},
	{name: "WrapPacket IPv6", host: "::1", open: wrapUDP("udp6", "[::1]:0")},
	{name: "WrapPacket dual stack to IPv4", host: "127.0.0.1", open: wrapUDP("udp", ":0"), dual: true},
	{name: "WrapPacket dual stack to IPv6", host: "::1", open: wrapUDP("udp", ":0"), dual: true},
	{name: "WrapPacket connected IPv4", host: "127.0.0.1", open: wrapDialledUDP, connected: true},
	{name: "WrapPacket connected IPv6", host: "::1", open: wrapDialledUDP, connected: true},
	{name: "PinUDP IPv4", host: "127.0.0.1", open: pinBareUDP("udp4", "127.0.0.1:0")},
	{name: "PinUDP dual stack to IPv4", host: "127.0.0.1", open: pinBareUDP("udp", ":0"), dual: true},
	{name: "PinUDP dual stack to IPv6", host: "::1", open: pinBareUDP("udp", ":0"), dual: true},
}

// wrapUDP wraps an unmarked socket after it is bound.
func wrapUDP(network, address string) func(*testing.T, dscp.CodePoint, netip.AddrPort, hook) *dscp.UDPConn {
	return func(t *testing.T, cp dscp.CodePoint, _ netip.AddrPort, control hook) *dscp.UDPConn {
		t.Helper()
		bare, err := (&net.ListenConfig{Control: control}).ListenPacket(t.Context(), network, address)
		require.NoError(t, err)
		c, err := (&dscp.ListenConfig{DSCP: cp}).WrapPacket(bare.(*net.UDPConn))
		require.NoError(t, err)
		return c
	}
}

// wrapDialledUDP wraps an unmarked socket after it is connected.
func wrapDialledUDP(t *testing.T, cp dscp.CodePoint, peer netip.AddrPort, control hook) *dscp.UDPConn {
	t.Helper()
	bare, err := (&net.Dialer{Control: control}).Dial("udp", peer.String())
	require.NoError(t, err)
	c, err := (&dscp.ListenConfig{DSCP: cp}).WrapPacket(bare.(*net.UDPConn))
	require.NoError(t, err)
	return c
}

// pinBareUDP pins a socket that is marked but not guarded.
func pinBareUDP(network, address string) func(*testing.T, dscp.CodePoint, netip.AddrPort, hook) *dscp.UDPConn {
	return func(t *testing.T, cp dscp.CodePoint, _ netip.AddrPort, control hook) *dscp.UDPConn {
		t.Helper()
		lc := dscp.ListenConfig{DSCP: cp, NetListenConfig: &net.ListenConfig{Control: control}}
		bare, err := lc.Marked().ListenPacket(t.Context(), network, address)
		require.NoError(t, err)
		c, err := dscp.PinUDP(bare.(*net.UDPConn))
		require.NoError(t, err)
		return c
	}
}

func openDialUDP(network string) func(*testing.T, dscp.CodePoint, netip.AddrPort, hook) *dscp.UDPConn {
	return func(t *testing.T, cp dscp.CodePoint, peer netip.AddrPort, control hook) *dscp.UDPConn {
		t.Helper()
		d := dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Control: control}}
		c, err := d.DialUDP(t.Context(), network, netip.AddrPort{}, peer)
		require.NoError(t, err)
		return c
	}
}

func (s udpSocket) send(c *dscp.UDPConn, b []byte, peer netip.AddrPort) error {
	var err error
	if s.connected {
		_, err = c.Write(b)
	} else {
		_, err = c.WriteTo(b, net.UDPAddrFromAddrPort(peer))
	}
	return err
}

// sendMsg is send with control messages, by WriteMsgUDP.
func (s udpSocket) sendMsg(c *dscp.UDPConn, b, oob []byte, peer netip.AddrPort) error {
	var to *net.UDPAddr
	if !s.connected {
		to = net.UDPAddrFromAddrPort(peer)
	}
	_, _, err := c.WriteMsgUDP(b, oob, to)
	return err
}

// sendMsgAddrPort is sendMsg by WriteMsgUDPAddrPort.
func (s udpSocket) sendMsgAddrPort(c *dscp.UDPConn, b, oob []byte, peer netip.AddrPort) error {
	if s.connected {
		peer = netip.AddrPort{}
	}
	_, _, err := c.WriteMsgUDPAddrPort(b, oob, peer)
	return err
}

// ended returns a condition for Capture.Until: a datagram of n bytes to peer.
func ended(peer netip.AddrPort, n int) func(wire.Packet) bool {
	return func(p wire.Packet) bool { return p.Dst == peer && p.Len == n }
}

// datagrams waits for a datagram of last bytes to peer. It returns the TOS or Traffic Class
// octets of all datagrams to peer up to that one.
func datagrams(capture *wire.Capture, peer netip.AddrPort, last int) []uint8 {
	var octets []uint8
	for _, p := range capture.Until(ended(peer, last)) {
		if p.Dst == peer {
			octets = append(octets, p.TOS)
		}
	}
	return octets
}

// TestWireEveryDatagram checks that every datagram, from the first one on, has the mark.
func TestWireEveryDatagram(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	for _, s := range udpSockets {
		for _, cp := range codePoints() {
			t.Run(s.name+"/"+mark(cp), func(t *testing.T) {
				peer := sink(t, s.host)
				c := s.open(t, cp, peer, nil)
				defer c.Close() //nolint:errcheck // checked below
				assert.Equal(t, cp, c.DSCP())
				for n := range 4 {
					require.NoError(t, s.send(c, make([]byte, n), peer))
				}
				require.NoError(t, s.sendMsg(c, make([]byte, 4), nil, peer))
				require.NoError(t, s.sendMsgAddrPort(c, make([]byte, 5), nil, peer))
				require.NoError(t, c.Verify())
				require.NoError(t, c.Close())
				tos := cp.TOS()
				assert.Equal(t, []uint8{tos, tos, tos, tos, tos, tos}, datagrams(capture, peer, 5))
			})
		}
	}
}

// control returns a control message whose data is the number, in n bytes.
func control(level, kind, number, n int) []byte {
	b := make([]byte, unix.CmsgSpace(n))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(n))
	data := b[unix.CmsgLen(0):]
	switch n {
	case 1:
		data[0] = uint8(number)
	case 2:
		binary.NativeEndian.PutUint16(data, uint16(number))
	default:
		binary.NativeEndian.PutUint32(data, uint32(number))
	}
	return b
}

// TestWireECN checks that the ECN bits of the application are kept: those that its hook or
// an option set, and those that a control message sets for one datagram, as QUIC stacks do.
func TestWireECN(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const ect0, ce = 2, 3
	capture := wire.Start(t, "lo")
	for _, s := range udpSockets {
		level, option := unix.IPPROTO_IP, unix.IP_TOS
		if s.host == "::1" {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		for _, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.EF, 63} {
			t.Run(s.name+"/"+mark(cp), func(t *testing.T) {
				peer := sink(t, s.host)
				c := s.open(t, cp, peer, func(_, _ string, c syscall.RawConn) error {
					return c.Control(func(fd uintptr) {
						assert.NoError(t, unix.SetsockoptInt(int(fd), level, option, ect0))
					})
				})
				defer c.Close() //nolint:errcheck // nothing is lost
				assert.Equal(t, cp, c.DSCP())
				require.NoError(t, s.send(c, make([]byte, 1), peer))

				// Setting the option with other ECN bits does not change the mark.
				var err error
				if s.host == "::1" {
					err = ipv6.NewPacketConn(c).SetTrafficClass(int(cp.TOS() | ce))
				} else {
					err = ipv4.NewPacketConn(c).SetTOS(int(cp.TOS() | ce))
				}
				require.NoError(t, err)
				require.NoError(t, s.send(c, make([]byte, 2), peer))

				ecn := control(level, option, ect0, 4)
				before := append([]byte(nil), ecn...)
				require.NoError(t, s.sendMsg(c, make([]byte, 3), ecn, peer))
				require.NoError(t, s.sendMsgAddrPort(c, make([]byte, 4), ecn, peer))
				assert.Equal(t, before, ecn, "the caller's control message is unchanged")
				if s.host != "::1" {
					require.NoError(t, s.sendMsg(c, make([]byte, 5), control(level, option, ect0, 1), peer), "a byte instead of an int")
				} else {
					require.NoError(t, s.sendMsg(c, make([]byte, 5), ecn, peer))
				}
				require.NoError(t, s.sendMsg(c, make([]byte, 6), control(level, option, int(cp.TOS()|ce), 4), peer), "the pinned mark")

				// Another mark is refused, and nothing is sent.
				other := control(level, option, int((cp^1).TOS()|ect0), 4)
				if cp^1 == dscp.DF {
					other = control(level, option, int((cp ^ 2).TOS()), 4)
				}
				assert.ErrorIs(t, s.sendMsg(c, make([]byte, 7), other, peer), dscp.ErrMidFlow)
				assert.ErrorIs(t, s.sendMsgAddrPort(c, make([]byte, 7), other, peer), dscp.ErrMidFlow)

				// Two segments in one call, and the mark after another control message.
				gso := append(control(unix.SOL_UDP, unix.UDP_SEGMENT, 8, 2), ecn...)
				require.NoError(t, s.sendMsg(c, make([]byte, 16), gso, peer))

				require.NoError(t, s.send(c, make([]byte, 100), peer))
				tos := cp.TOS()
				got := datagrams(capture, peer, 100)
				if len(got) == 9 && got[6] == got[7] { // Linux 5.10 shows each segment
					got = slices.Delete(got, 7, 8)
				}
				assert.Equal(t, []uint8{
					tos | ect0, tos | ce, // set by the hook, by the option
					tos | ect0, tos | ect0, tos | ect0, tos | ce, // by control messages
					tos | ect0, // two segments, which loopback may show as one
					tos | ce,   // by the option, which is unchanged
				}, got)
			})
		}
	}
}

// A udpAttack is a way to change the mark of a UDP socket or of a datagram.
type udpAttack struct {
	name string
	on   func(s udpSocket) bool
	try  func(s udpSocket, c *dscp.UDPConn, octet int, peer netip.AddrPort) error
	// pinsDF: DSCP 0 means the pinned mark.
	pinsDF bool
}

func anySocket(udpSocket) bool { return true }

var udpAttacks = []udpAttack{
	{name: "SetDSCP", on: anySocket, try: func(_ udpSocket, c *dscp.UDPConn, octet int, _ netip.AddrPort) error {
		return c.SetDSCP(dscp.FromTOS(uint8(octet)))
	}},
	{
		name: "ipv4.SetTOS", on: func(s udpSocket) bool { return s.host != "::1" || s.dual },
		try: func(_ udpSocket, c *dscp.UDPConn, octet int, _ netip.AddrPort) error {
			return ipv4.NewPacketConn(c).SetTOS(octet)
		},
	},
	{
		name: "ipv6.SetTrafficClass", on: func(s udpSocket) bool { return s.host == "::1" || s.dual },
		try: func(_ udpSocket, c *dscp.UDPConn, octet int, _ netip.AddrPort) error {
			return ipv6.NewPacketConn(c).SetTrafficClass(octet)
		},
	},
	{
		name: "WriteMsgUDP", on: anySocket, pinsDF: true,
		try: func(s udpSocket, c *dscp.UDPConn, octet int, peer netip.AddrPort) error {
			return s.sendMsg(c, []byte{0}, s.asking(octet), peer)
		},
	},
	{
		name: "WriteBatch", on: anySocket, pinsDF: true,
		try: func(s udpSocket, c *dscp.UDPConn, octet int, peer netip.AddrPort) error {
			m := ipv4.Message{Buffers: [][]byte{{0}}, OOB: s.asking(octet)}
			if !s.connected {
				m.Addr = net.UDPAddrFromAddrPort(peer)
			}
			_, err := c.WriteBatch([]ipv4.Message{m}, 0)
			return err
		},
	},
}

// asking returns the control message that sets the octet for a datagram to host.
func (s udpSocket) asking(octet int) []byte {
	level, option := family{dial: s.host}.sent()
	return control(level, option, octet, 4)
}

// TestWireAttackUDP is TestWireAttack for datagrams.
func TestWireAttackUDP(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	runs, table := map[string]int{}, &attackTable{}
	for _, s := range udpSockets {
		for _, a := range udpAttacks {
			if a.on(s) {
				runs[a.name]++
			}
		}
	}
	for _, s := range udpSockets {
		for _, a := range udpAttacks {
			if !a.on(s) {
				continue
			}
			t.Run(s.name+"/"+a.name, func(t *testing.T) {
				capture := wire.Start(t, "lo")
				for again := attackFor(t, runs[a.name]); again(); {
					flow := s.attack(t, capture, a)
					flow.route = "UDP, " + a.name
					table.add(flow)
				}
			})
		}
	}
	t.Logf("\n%v", table)
}

// attack attacks one socket while it sends, and counts its datagrams.
func (s udpSocket) attack(t *testing.T, capture *wire.Capture, a udpAttack) attackRow {
	t.Helper()
	peer := sink(t, s.host)
	c := s.open(t, dscp.AF21, peer, nil)
	defer c.Close() //nolint:errcheck // nothing is lost
	var sent atomic.Int64
	var stop atomic.Bool
	var traffic sync.WaitGroup
	const most = 50_000 // the capture has room for these, even if the attacker gets little CPU time
	traffic.Go(func() {
		for !stop.Load() && sent.Load() < most && assert.NoError(t, s.send(c, []byte{0}, peer)) {
			sent.Add(1)
		}
	})
	octets := foreign
	if a.pinsDF {
		octets = foreign[1:]
	}
	row := attackRow{}
	for (row.attempts < 500 || sent.Load() < 2000) && !t.Failed() {
		octet := octets[row.attempts%len(octets)]
		require.ErrorIs(t, a.try(s, c, octet, peer), dscp.ErrMidFlow, "octet %#x", octet)
		row.attempts++
	}
	stop.Store(true)
	traffic.Wait()
	require.NoError(t, c.Verify())
	require.NoError(t, s.send(c, make([]byte, 2), peer))
	for _, octet := range datagrams(capture, peer, 2) {
		row.packets++
		if octet != dscp.AF21.TOS() {
			row.foreign++
		}
	}
	assert.EqualValues(t, sent.Load()+1, row.packets, "datagrams")
	assert.Zero(t, row.foreign, "of %d datagrams", row.packets)
	return row
}
