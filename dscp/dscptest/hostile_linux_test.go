package dscptest_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/packet"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/wire"
)

// A spoofer sends packets with false addresses into the namespace of a test, over a cable.
type spoofer struct {
	t    *testing.T
	fd   int
	link unix.SockaddrLinklayer
	sent atomic.Int64
}

// spoofName is the interface on which a spoofer's packets arrive.
const spoofName = "spoofed"

func newSpoofer(t *testing.T) *spoofer {
	t.Helper()
	here, there := testns.Current(t), testns.New(t)
	testns.Connect(
		testns.End{Net: here, Name: spoofName, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
		testns.End{Net: there, Name: "spoofer"})
	near, err := net.InterfaceByName(spoofName)
	require.NoError(t, err)
	s := &spoofer{t: t}
	there.Do(func() {
		far, err := net.InterfaceByName("spoofer")
		require.NoError(t, err)
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		s.link = unix.SockaddrLinklayer{Ifindex: far.Index, Halen: 6}
		copy(s.link.Addr[:], near.HardwareAddr)
	})
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// send sends a TCP segment without payload with the addresses of a connection, marked
// with cp.
func (s *spoofer) send(from, to netip.AddrPort, seq uint32, flags wire.Flags, cp dscp.CodePoint) error {
	b := make([]byte, 0, 60)
	protocol := uint16(unix.ETH_P_IP)
	if from.Addr().Is4() {
		b = append(b, 0x45, cp.TOS(), 0, 40, 0, 0, 0x40, 0, 64, wire.TCP, 0, 0)
	} else {
		protocol = unix.ETH_P_IPV6
		b = append(b, 0x60|cp.TOS()>>4, cp.TOS()<<4, 0, 0, 0, 20, wire.TCP, 64)
	}
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(b[10:], ^onesSum(b))
	}
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment, from.Port())
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	binary.BigEndian.PutUint32(segment[4:], seq)
	segment[12], segment[13], segment[14] = 5<<4, byte(flags), 0xff
	link := s.link
	link.Protocol = binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	return unix.Sendto(s.fd, append(b, segment...), 0, &link)
}

// onesSum returns the sum of 16-bit words for an Internet checksum.
func onesSum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// TestMartiansAreNotBlamed has another host send packets with the addresses of a flow on
// loopback. IP discards them, and the flow shows one mark.
func TestMartiansAreNotBlamed(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	spoofer := newSpoofer(t)
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			behind := make(chan string, 1) // the address from which the box connects to the server
			upstream := serve(t, family.address, func(c net.Conn) {
				behind <- c.RemoteAddr().String()
				echo(c)
			})
			box := everySegment(t, upstream, dscptest.OneMark)
			c := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(c, "hello"))
			client, middle := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(box.Addr())
			server := netip.MustParseAddrPort(upstream)
			arrived := wire.Start(t, spoofName)
			require.NoError(t, spoofer.send(client, middle, 1, wire.ACK, dscp.EF))
			require.NoError(t, spoofer.send(client, middle, 7, wire.SYN, dscp.CS1))
			require.NoError(t, spoofer.send(client, middle, 8, wire.ACK, dscp.CS2))
			require.NoError(t, spoofer.send(server, netip.MustParseAddrPort(<-behind), 1, wire.ACK, dscp.CS3))
			n := 0
			arrived.Until(func(wire.Packet) bool { n++; return n == 4 })
			require.NoError(t, ask(c, "hello"))
			require.NoError(t, c.CloseWrite())
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			f := eventually(t, box, over)
			assert.Empty(t, f.Changes, "%v", f)
			assert.Equal(t, dscp.AF21, f.SYN)
			assert.NoError(t, f.Err)
		})
	}
}

// TestJumboSegmentsAreSeen changes a mark only for segments of more than 64 KiB (BIG
// TCP), whose length is at another place in the headers.
func TestJumboSegmentsAreSeen(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	bigTCP(t)
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, echo))
			c := dialMarked(t, box.Addr(), dscp.AF21)
			// Without the parser, which may be what fails.
			ring, err := packet.OpenRing(packet.RingConfig{Frames: 8192, Interface: 1, Incoming: true})
			require.NoError(t, err)
			defer ring.Unmap()
			defer ring.Close()
			var jumbo, other int
			count := func(c packet.Capture) {
				octet, _ := tos.HeaderOctet(c.Data)
				switch {
				case dscp.FromTOS(octet) != dscp.EF || c.Length < 100:
				case c.Length > 0xffff:
					jumbo++
				default:
					other++
				}
			}
			const size = 512 << 10
			var sent int64
			exchange := func() {
				t.Helper()
				done := make(chan error, 1)
				go func() {
					_, err := c.Write(make([]byte, size))
					done <- err
				}()
				_, err := io.CopyN(io.Discard, c, size)
				require.NoError(t, err)
				require.NoError(t, <-done)
				sent += size
			}
			for range 16 { // the window has to grow
				exchange()
			}
			change := sent
			require.NoError(t, mark(c, dscp.EF))
			exchange()
			back := sent
			require.NoError(t, mark(c, dscp.AF21))
			exchange()

			ring.Read(count, func() { t.Error("the ring is full") })
			t.Logf("%d jumbo segments and %d others with the new mark", jumbo, other)
			if jumbo == 0 {
				testns.Lacks(t, "this kernel sends no segments of more than 64 KiB")
			}
			f := eventually(t, box, func(dscptest.Flow) bool { return true })
			require.Len(t, f.Changes, 2, "%v", f)
			assert.Equal(t, dscp.EF, f.Changes[0].To)
			assert.Equal(t, change, f.Changes[0].Offset)
			assert.Equal(t, dscp.AF21, f.Changes[1].To)
			assert.Equal(t, back, f.Changes[1].Offset)
			require.NoError(t, box.Close(), "nothing was missed")
		})
	}
}

// bigTCP makes loopback carry segments of more than 64 KiB, if the kernel can: over IPv6
// since Linux 5.19, over IPv4 since 6.3.
func bigTCP(t *testing.T) {
	t.Helper()
	const size, loopback = 400_000, 1
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer unix.Close(fd)
	for _, attribute := range []uint16{unix.IFLA_GSO_MAX_SIZE, unix.IFLA_GRO_MAX_SIZE, unix.IFLA_GSO_IPV4_MAX_SIZE, unix.IFLA_GRO_IPV4_MAX_SIZE} {
		b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg+unix.SizeofRtAttr+4)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], unix.RTM_NEWLINK)
		binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		binary.NativeEndian.PutUint32(b[20:], loopback)
		binary.NativeEndian.PutUint16(b[32:], unix.SizeofRtAttr+4)
		binary.NativeEndian.PutUint16(b[34:], attribute)
		binary.NativeEndian.PutUint32(b[36:], size)
		_, err := unix.Write(fd, b)
		require.NoError(t, err)
		n, err := unix.Read(fd, b)
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, 20)
		// A kernel that does not know the attribute ignores it.
		if errno := -int32(binary.NativeEndian.Uint32(b[16:])); errno != 0 {
			t.Logf("link attribute %d: %v", attribute, unix.Errno(errno))
		}
	}
}
