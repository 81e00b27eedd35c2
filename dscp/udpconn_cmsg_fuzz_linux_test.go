package dscp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// A cmsg is a control message in a buffer, parsed independently of the functions under
// test.
type cmsg struct {
	at         int // offset of data
	level, typ int32
	data       []byte
}

// walkControl returns the control messages in oob as CMSG_NXTHDR finds them. If one is
// malformed to the kernel, it returns those before it and false.
func walkControl(oob []byte) (ms []cmsg, ok bool) {
	const word = unix.SizeofCmsghdr - 8 // size of cmsg_len, and the alignment
	for at := 0; at+unix.SizeofCmsghdr <= len(oob); {
		size := uint64(binary.NativeEndian.Uint32(oob[at:]))
		if word == 8 {
			size = binary.NativeEndian.Uint64(oob[at:])
		}
		if size < unix.SizeofCmsghdr || size > uint64(len(oob)-at) {
			return ms, false
		}
		ms = append(ms, cmsg{
			at:    at + unix.SizeofCmsghdr,
			level: int32(binary.NativeEndian.Uint32(oob[at+word:])),
			typ:   int32(binary.NativeEndian.Uint32(oob[at+word+4:])),
			data:  oob[at+unix.SizeofCmsghdr : at+int(size)],
		})
		at += (int(size) + word - 1) / word * word
	}
	return ms, true
}

// mark returns the TOS octet in the message. ok is false if the value has no octet.
func (m cmsg) mark() (octet uint8, ok bool) {
	switch n := len(m.data); {
	case n == 0:
		return 0, false
	case n < 4:
		return m.data[0], true
	}
	v := int32(binary.NativeEndian.Uint32(m.data))
	return uint8(v), -1 <= v && v <= 255
}

func seedControl(f *testing.F, more ...any) {
	for _, oob := range [][]byte{
		nil,
		{0, 0, 0},
		tosMessage(1, 0x02),
		tosMessage(4, 0x48),
		tosMessage(4, 0xb9),
		classMessage(0x4a),
		classMessage(0xffffffff),
		classMessage(0x100),
		tosMessage(1, 0)[:unix.CmsgLen(0)],
		append(tosMessage(4, 0), classMessage(0x20)...),
		append(classMessage(0x02), tosMessage(1, 0x02)...),
		append(message(unix.IPPROTO_IP, unix.IP_TTL, 4, 64), tosMessage(1, 0x4a)...),
		append(message(unix.SOL_UDP, unix.UDP_SEGMENT, 4, 1), classMessage(0x01)...),
		message(unix.IPPROTO_IPV6, 11, 4, 0xff0f), // IPV6_FLOWINFO has room for a Traffic Class
		message(unix.SOL_SOCKET, unix.SO_PRIORITY, 4, 6),
	} {
		f.Add(append([]any{oob}, more...)...)
	}
}

// FuzzPinControl compares pinControl, and WriteBatch's use of it, to a second
// implementation.
func FuzzPinControl(f *testing.F) {
	seedControl(f, uint8(AF21), uint8(EF), true, 20)
	seedControl(f, uint8(AF21), uint8(0), false, 0)
	f.Fuzz(func(t *testing.T, oob []byte, cp, cp4 uint8, dual bool, cut int) {
		p := &pin{option: tos.IPv6TClass, cp: CodePoint(cp & 63), dual: dual, cp4: CodePoint(cp4 & 63)}
		before := slices.Clone(oob)
		got, err := p.pinControl(oob)
		require.Equal(t, before, oob, "the caller's buffer")
		want, refused, malformed := pinnedByHand(oob, p)
		require.Equal(t, refused, errors.Is(err, ErrMidFlow), "%v", err)
		require.Equal(t, malformed, errors.Is(err, unix.EINVAL), "%v", err)
		if err == nil {
			require.Equal(t, string(want), string(got))
		}

		// Either the whole batch is refused, or each message is as if sent alone.
		cut = min(max(cut, 0), len(oob))
		ms := []ipv4.Message{{OOB: oob[:cut]}, {OOB: oob[cut:]}}
		batch, err := p.pinMessages(ms)
		require.Equal(t, before, oob, "the caller's buffers")
		for i, m := range ms {
			alone, aloneErr := p.pinControl(m.OOB)
			if aloneErr != nil {
				require.EqualError(t, err, fmt.Sprintf("message %d: %v", i, aloneErr))
				return
			}
			if err == nil {
				require.Equal(t, string(alone), string(batch[i].OOB))
			}
		}
		require.NoError(t, err)
	})
}

// pinnedByHand is the second implementation of pinControl: it returns oob with the pinned
// marks, or which of the two errors is expected.
func pinnedByHand(oob []byte, p *pin) (want []byte, refused, malformed bool) {
	ms, ok := walkControl(oob)
	want = slices.Clone(oob)
	for _, m := range ms {
		pinned := p.cp
		switch {
		case m.level == 0 && m.typ == unix.IP_TOS:
			if p.dual {
				pinned = p.cp4
			}
		case m.level == 41 && m.typ == unix.IPV6_TCLASS:
		default:
			continue
		}
		octet, ok := m.mark()
		if !ok {
			continue // the kernel refuses it
		}
		if octet>>2 != 0 && octet>>2 != uint8(pinned) {
			return nil, true, false
		}
		octet = uint8(pinned)<<2 | octet&3
		if len(m.data) >= 4 {
			if octet == 0xff && binary.NativeEndian.Uint32(m.data) == 0xffffffff {
				continue // -1 means the same octet
			}
			binary.NativeEndian.PutUint32(want[m.at:], uint32(octet))
		} else {
			want[m.at] = octet
		}
	}
	return want, false, !ok
}

// FuzzReceivedMark compares ReceivedMark to a second implementation, on any input.
func FuzzReceivedMark(f *testing.F) {
	seedControl(f)
	f.Fuzz(func(t *testing.T, oob []byte) {
		cp, ecn, ok := ReceivedMark(oob)
		require.True(t, cp.Valid() && ecn <= 3)
		want, found := receivedByHand(oob)
		require.Equal(t, found, ok)
		require.Equal(t, want, cp.TOS()|ecn)
	})
}

func receivedByHand(oob []byte) (octet uint8, ok bool) {
	ms, _ := walkControl(oob)
	for _, m := range ms {
		ours := m.level == 0 && (m.typ == unix.IP_TOS || m.typ == unix.IP_RECVTOS) ||
			m.level == 41 && (m.typ == unix.IPV6_TCLASS || m.typ == unix.IPV6_RECVTCLASS)
		if octet, ok := m.mark(); ours && ok {
			return octet, true
		}
	}
	return 0, false
}

// FuzzControlOnTheWire sends any control messages from pinned sockets. No datagram
// arrives with another mark.
func FuzzControlOnTheWire(f *testing.F) {
	seedControl(f, uint8(0))
	seedControl(f, uint8(1))
	seedControl(f, uint8(2))
	type way struct {
		from *UDPConn
		to   netip.AddrPort
	}
	var ways []way
	var receivers []*UDPConn
	listen := func(cp CodePoint, address string) *UDPConn {
		pc, err := (&ListenConfig{DSCP: cp}).ListenPacket(f.Context(), "udp", address)
		require.NoError(f, err)
		f.Cleanup(func() { pc.Close() })
		return pc.(*UDPConn)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		if l, err := net.Listen("tcp", address); err != nil {
			f.Logf("no %s: %v", address, err)
			continue
		} else if err := l.Close(); err != nil {
			f.Fatal(err)
		}
		r := listen(DF, address)
		require.NoError(f, r.ReceiveMarks())
		receivers = append(receivers, r)
		to := r.LocalAddr().(*net.UDPAddr).AddrPort()
		ways = append(ways, way{listen(AF21, address), to}, way{listen(AF21, ":0"), to})
	}
	f.Fuzz(func(t *testing.T, oob []byte, which uint8) {
		ms, _ := walkControl(oob)
		for _, m := range ms {
			switch {
			case m.level == 0 && m.typ == unix.IP_RETOPTS,
				m.level == 41 && (m.typ == unix.IPV6_RTHDR || m.typ == unix.IPV6_2292RTHDR):
				t.Skip("a source route may leave this machine")
			}
		}
		w := ways[int(which)%len(ways)]
		n, _, err := w.from.WriteMsgUDPAddrPort([]byte("xyz"), oob, w.to)
		if errors.Is(err, ErrMidFlow) {
			require.Zero(t, n)
		}
		require.NoError(t, w.from.Verify())
		for _, r := range receivers {
			drain(t, r, func(oob []byte) {
				octet, ok := receivedByHand(oob)
				require.True(t, ok)
				require.Equal(t, AF21, FromTOS(octet), "% x", oob)
				cp, ecn, ok := ReceivedMark(oob)
				require.True(t, ok)
				require.Equal(t, octet, cp.TOS()|ecn)
			})
		}
	})
}

// drain reads the datagrams that have arrived at c, without waiting. Loopback usually
// delivers before the sender's system call returns; the next run finds a later one.
func drain(t *testing.T, c *UDPConn, each func(oob []byte)) {
	raw, err := c.UDPConn.SyscallConn()
	require.NoError(t, err)
	b, oob := make([]byte, 64), make([]byte, 512)
	err = raw.Read(func(fd uintptr) bool {
		for {
			_, n, _, _, err := unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			each(oob[:n])
		}
	})
	require.NoError(t, err)
}
