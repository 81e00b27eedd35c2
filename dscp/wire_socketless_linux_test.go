package dscp_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
	"github.com/godscp/godscp/internal/testns"
)

// A handMadePeer is a host behind a TUN device. The test makes its segments.
type handMadePeer struct {
	t           *testing.T
	tun         *os.File
	local, peer netip.Addr // the kernel's address and that of the peer
}

// newHandMadePeers makes a TUN device and returns a peer of each family behind it.
func newHandMadePeers(t *testing.T) []*handMadePeer {
	t.Helper()
	testns.Require(t, "ip")
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EACCES) {
		t.Skipf("/dev/net/tun is for root only: %v", err) // the file's mode, not a missing capability
	}
	if err != nil {
		testns.Lacks(t, "cannot make a TUN device: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) }) //nolint:errcheck,gosec // the device lives on in the copy below
	request, err := unix.NewIfreq("dscp0")
	require.NoError(t, err)
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); errors.Is(err, unix.EPERM) {
		testns.Lacks(t, "cannot make a TUN device: %v", err)
	} else {
		require.NoError(t, err)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	tun := os.NewFile(uintptr(own), "tun") // a copy made after TUNSETIFF: before, the device cannot be polled
	t.Cleanup(func() { tun.Close() })      //nolint:errcheck,gosec // nothing is lost
	ns := testns.Current(t)
	ns.Run("ip", "addr", "add", "10.9.0.1/24", "dev", "dscp0")
	ns.Run("ip", "addr", "add", "fd09::1/64", "dev", "dscp0", "nodad")
	ns.Run("ip", "link", "set", "dscp0", "up")
	return []*handMadePeer{
		{t, tun, netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")},
		{t, tun, netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")},
	}
}

// send sends a segment without data.
func (h *handMadePeer) send(cp dscp.CodePoint, from, to uint16, flags packet.Flags, seq, ack uint32) {
	h.t.Helper()
	const header = 20
	tcp := make([]byte, header)
	binary.BigEndian.PutUint16(tcp[0:], from)
	binary.BigEndian.PutUint16(tcp[2:], to)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = header/4<<4, byte(flags)
	binary.BigEndian.PutUint16(tcp[14:], 1<<15) // window
	src, dst := h.peer.AsSlice(), h.local.AsSlice()
	pseudo := append(append(append([]byte{}, src...), dst...), 0, 0, 0, header, 0, 0, 0, unix.IPPROTO_TCP)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	var ip []byte
	if h.peer.Is4() {
		ip = []byte{0x45, cp.TOS(), 0, 20 + header, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0}
		ip = append(append(ip, src...), dst...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	} else {
		ip = []byte{0x60 | cp.TOS()>>4, cp.TOS() << 4, 0, 0, 0, header, unix.IPPROTO_TCP, 64}
		ip = append(append(ip, src...), dst...)
	}
	_, err := h.tun.Write(append(ip, tcp...))
	require.NoError(h.t, err)
}

// checksum returns the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// receive returns the next segment that the kernel sends to port with these flags.
func (h *handMadePeer) receive(port uint16, flags packet.Flags) packet.Packet {
	h.t.Helper()
	p, err := h.await(port, flags, 20*time.Second)
	require.NoError(h.t, err, "waiting for %v", flags)
	return p
}

func (h *handMadePeer) await(port uint16, flags packet.Flags, timeout time.Duration) (packet.Packet, error) {
	h.t.Helper()
	require.NoError(h.t, h.tun.SetReadDeadline(time.Now().Add(timeout)))
	b := make([]byte, 2048)
	for {
		n, err := h.tun.Read(b)
		if err != nil {
			return packet.Packet{}, err
		}
		p, ok := packet.Parse(b[:n], n)
		if ok && p.Proto == packet.TCP && p.Dst == netip.AddrPortFrom(h.peer, port) && p.Flags == flags {
			return p, nil
		}
	}
}

// handshake sends SYNs until one is answered, because a new interface may lose the first
// packets, and returns the SYN-ACK.
func (h *handMadePeer) handshake(cp dscp.CodePoint, from, to uint16, seq uint32) packet.Packet {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		h.send(cp, from, to, packet.SYN, seq, 0)
		p, err := h.await(from, packet.SYN|packet.ACK, 500*time.Millisecond)
		if err == nil {
			return p
		}
		require.ErrorIs(h.t, err, os.ErrDeadlineExceeded)
		require.True(h.t, time.Now().Before(end), "no SYN-ACK within 20 s")
	}
}

// TestWireWithoutASocket checks the documented limit: segments that Linux sends without
// the socket of a connection have the mark of the segment that they answer, which is the
// peer's. The connection may be established afterwards.
func TestWireWithoutASocket(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const theirs, ours = dscp.CS1, dscp.AF21
	const isn, elsewhere = 1000, 1 << 24
	for _, h := range newHandMadePeers(t) {
		port := uint16(2000)
		for name, tt := range map[string]struct {
			seq, ack uint32 // of the invalid segment, added to the valid numbers
			answer   packet.Flags
		}{
			"out of the window, during the handshake": {elsewhere, 0, packet.ACK},
			"with a wrong acknowledgement":            {0, elsewhere, packet.RST},
		} {
			port++
			t.Run(h.peer.String()+", "+name, func(t *testing.T) {
				h.t = t
				l, err := (&dscp.ListenConfig{DSCP: ours}).Listen(t.Context(), "tcp", netip.AddrPortFrom(h.local, 0).String())
				require.NoError(t, err)
				defer l.Close()
				to := addrPort(l.Addr()).Port()
				synACK := h.handshake(theirs, port, to, isn)
				assert.Equal(t, ours.TOS(), synACK.TOS, "the SYN-ACK has the listener's mark")

				h.send(theirs, port, to, packet.ACK, isn+1+tt.seq, synACK.Seq+1+tt.ack)
				assert.Equal(t, theirs.TOS(), h.receive(port, tt.answer).TOS, "an answer without a socket has the peer's mark")

				h.send(theirs, port, to, packet.ACK, isn+1, synACK.Seq+1)
				require.NoError(t, l.(*dscp.Listener).SetDeadline(time.Now().Add(20*time.Second)))
				c, err := l.Accept()
				require.NoError(t, err, "the connection is established afterwards")
				assert.Equal(t, ours, c.(*dscp.Conn).DSCP())
				_, err = c.Write([]byte("x"))
				require.NoError(t, err)
				assert.Equal(t, ours.TOS(), h.receive(port, packet.PSH|packet.ACK).TOS)
				require.NoError(t, c.(*dscp.Conn).SetLinger(0))
				require.NoError(t, c.Close())
				assert.Equal(t, ours.TOS(), h.receive(port, packet.RST|packet.ACK).TOS, "the reset of the socket")

				h.send(theirs, port, to, packet.ACK, isn+1, synACK.Seq+2)
				assert.Equal(t, theirs.TOS(), h.receive(port, packet.RST).TOS, "a reset without a socket has the peer's mark")
			})
		}
		port++
		t.Run(h.peer.String()+", an old segment before the SYN-ACK", func(t *testing.T) {
			h.t = t
			type dialled struct {
				c   net.Conn
				err error
			}
			done := make(chan dialled, 1)
			go func() {
				c, err := (&dscp.Dialer{DSCP: ours}).DialContext(t.Context(), "tcp", netip.AddrPortFrom(h.peer, port).String())
				done <- dialled{c, err}
			}()
			syn := h.receive(port, packet.SYN)
			from := syn.Src.Port()
			assert.Equal(t, ours.TOS(), syn.TOS)
			h.send(theirs, port, from, packet.ACK, isn, syn.Seq-elsewhere)
			assert.Equal(t, theirs.TOS(), h.receive(port, packet.RST).TOS, "an answer without a socket has the peer's mark")
			h.send(theirs, port, from, packet.SYN|packet.ACK, isn, syn.Seq+1)
			assert.Equal(t, ours.TOS(), h.receive(port, packet.ACK).TOS)
			d := <-done
			require.NoError(t, d.err, "the connection is established afterwards")
			assert.Equal(t, ours, d.c.(*dscp.Conn).DSCP())
			require.NoError(t, d.c.Close())
		})
	}
}
