package dscp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// receiver is a UDP socket that receives the TOS or Traffic Class octet of each datagram.
// It is opened without package dscp.
type receiver struct {
	*net.UDPConn
}

func newReceiver(t *testing.T, addr string) receiver {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", addr)
	require.NoError(t, err)
	c, err := net.ListenUDP("udp", a)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		if a.IP.To4() == nil {
			err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1))
		}
	}))
	require.NoError(t, err)
	return receiver{c}
}

// octet returns the TOS or Traffic Class octet of the next datagram.
func (r receiver) octet(t *testing.T) uint8 {
	t.Helper()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(5*time.Second)))
	b, oob := make([]byte, 64), make([]byte, 128)
	_, n, _, _, err := r.ReadMsgUDP(b, oob)
	require.NoError(t, err)
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	require.NoError(t, err)
	for _, m := range msgs {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS {
			return m.Data[0]
		}
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS {
			return uint8(binary.NativeEndian.Uint32(m.Data))
		}
	}
	require.Fail(t, "no mark in the control messages")
	return 0
}

// silent requires that no datagram arrives within 20 ms. Loopback delivers at once, so a
// datagram that was sent is found.
func (r receiver) silent(t *testing.T) {
	t.Helper()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	n, _, err := r.ReadFromUDP(make([]byte, 64))
	require.Error(t, err, "%d bytes arrived", n)
}

func TestUDPFirstDatagram(t *testing.T) {
	t.Parallel()
	for _, addr := range loopbacks(t) {
		for cp := range CodePoint(64) {
			r := newReceiver(t, addr)
			c, err := (&Dialer{DSCP: cp}).Dial("udp", r.LocalAddr().String())
			require.NoError(t, err)
			_, err = c.Write([]byte("x"))
			require.NoError(t, err)
			assert.Equal(t, cp.TOS(), r.octet(t))
			assert.Equal(t, cp, c.(*UDPConn).DSCP())
			c.Close()
			r.Close()
		}
	}
}

func TestUDPListenPacket(t *testing.T) {
	t.Parallel()
	for _, local := range append(loopbacks(t), ":0") {
		for _, remote := range loopbacks(t) {
			if local != ":0" && local != remote {
				continue
			}
			t.Run(local+" to "+remote, func(t *testing.T) {
				t.Parallel()
				r := newReceiver(t, remote)
				pc, err := (&ListenConfig{DSCP: EF}).ListenPacket(t.Context(), "udp", local)
				require.NoError(t, err)
				defer pc.Close()
				_, err = pc.WriteTo([]byte("x"), r.LocalAddr())
				require.NoError(t, err)
				assert.Equal(t, EF.TOS(), r.octet(t))
				assert.Equal(t, EF, pc.(*UDPConn).DSCP())
				require.NoError(t, pc.(*UDPConn).Verify())
			})
		}
	}
}

// TestUDPKeepsECN sets ECN bits before and after the socket is marked.
func TestUDPKeepsECN(t *testing.T) {
	t.Parallel()
	for _, addr := range loopbacks(t) {
		opt := tos.IPv6TClass
		if addr == "127.0.0.1:0" {
			opt = tos.IPv4TOS
		}
		r := newReceiver(t, addr)
		d := &Dialer{DSCP: AF21, NetDialer: &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return opt.Set(c, 0x02) }}}
		conn, err := d.Dial("udp", r.LocalAddr().String())
		require.NoError(t, err)
		defer conn.Close()
		c := conn.(*UDPConn)
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		assert.Equal(t, AF21.TOS()|0x02, r.octet(t), "the caller's hook set ECT(0)")

		raw, err := c.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) { opt.Set(tos.FD(fd), AF21.TOS()|0x01) }), "a closure may set ECN bits")
		require.NoError(t, opt.Set(raw, AF21.TOS()|0x01), "x/net may set ECN bits")
		if opt == tos.IPv6TClass {
			require.NoError(t, raw.Control(func(fd uintptr) { tos.IPv4TOS.Set(tos.FD(fd), 0x02) }), "a closure may set ECN bits of the other family")
			require.NoError(t, tos.IPv4TOS.Set(raw, 0x01), "x/net may set ECN bits of the other family")
		}
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		assert.Equal(t, AF21.TOS()|0x01, r.octet(t))
	}
}

func TestUDPGuard(t *testing.T) {
	t.Parallel()
	for _, addr := range append(loopbacks(t), ":0") {
		pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", addr)
		require.NoError(t, err)
		c := pc.(*UDPConn)
		if addr != "[::1]:0" {
			require.ErrorIs(t, ipv4.NewPacketConn(c).SetTOS(int(CS1.TOS())), ErrMidFlow)
		}
		if addr != "127.0.0.1:0" {
			require.ErrorIs(t, ipv6.NewPacketConn(c).SetTrafficClass(int(CS1.TOS())), ErrMidFlow)
		}
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		require.ErrorIs(t, raw.Control(func(fd uintptr) { c.pin.option.Set(tos.FD(fd), 0x20) }), ErrMidFlow)
		require.NoError(t, c.Verify())
		require.ErrorIs(t, c.SetDSCP(CS1), ErrMidFlow)
		require.NoError(t, c.SetDSCP(AF21))
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Verify(), net.ErrClosed)
	}
}

// message returns a control message whose value has size bytes, 1 or 4.
func message(level, typ int, size int, value uint32) []byte {
	b := make([]byte, unix.CmsgSpace(size))
	h := unix.Cmsghdr{Level: int32(level), Type: int32(typ)}
	h.SetLen(unix.CmsgLen(size))
	if _, err := binary.Encode(b, binary.NativeEndian, h); err != nil {
		panic(err)
	}
	if size == 4 {
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], value)
	} else {
		b[unix.CmsgLen(0)] = uint8(value)
	}
	return b
}

func tosMessage(size int, v uint32) []byte { return message(unix.IPPROTO_IP, unix.IP_TOS, size, v) }
func classMessage(v uint32) []byte         { return message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4, v) }

func TestUDPControlMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		v6     bool
		oob    []byte
		want   uint8
		refuse bool
	}{
		{"none", false, nil, 0x48, false},
		{"ECN alone, one byte", false, tosMessage(1, 0x02), 0x4a, false},
		{"ECN alone, four bytes", false, tosMessage(4, 0x01), 0x49, false},
		{"all zero", false, tosMessage(1, 0), 0x48, false},
		{"same DSCP", false, tosMessage(1, 0x48), 0x48, false},
		{"same DSCP with ECN", false, tosMessage(4, 0x4b), 0x4b, false},
		{"other DSCP", false, tosMessage(1, 0x20), 0, true},
		{"other DSCP, four bytes", false, tosMessage(4, 0xb8), 0, true},
		{"other DSCP with ECN", false, tosMessage(4, 0xba), 0, true},
		{"second of two is another", false, append(tosMessage(1, 0x02), tosMessage(1, 0x20)...), 0, true},
		{"ECN alone", true, classMessage(0x02), 0x4a, false},
		{"same", true, classMessage(0x48), 0x48, false},
		{"-1, which Linux sends as 0xff", true, classMessage(0xffffffff), 0, true},
		{"other", true, classMessage(0x20), 0, true},
	}
	for _, tt := range tests {
		addr := "127.0.0.1:0"
		if tt.v6 {
			addr = "[::1]:0"
		}
		t.Run(addr+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, addr)
			to := netip.MustParseAddrPort(r.LocalAddr().String())
			pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", addr)
			require.NoError(t, err)
			defer pc.Close()
			c := pc.(*UDPConn)
			oob := append([]byte(nil), tt.oob...)
			for name, write := range map[string]func() (int, int, error){
				"WriteMsgUDP":         func() (int, int, error) { return c.WriteMsgUDP([]byte("x"), oob, net.UDPAddrFromAddrPort(to)) },
				"WriteMsgUDPAddrPort": func() (int, int, error) { return c.WriteMsgUDPAddrPort([]byte("x"), oob, to) },
			} {
				_, _, err := write()
				assert.Equal(t, tt.oob, append([]byte(nil), oob...), "the caller's buffer is unchanged")
				if tt.refuse {
					require.ErrorIs(t, err, ErrMidFlow, name)
					r.silent(t)
					continue
				}
				require.NoError(t, err, name)
				if trial.Messages() != nil { // the ECN bits are then those of the socket
					tt.want &^= ecnMask
				}
				assert.Equal(t, tt.want, r.octet(t), name)
			}
		})
	}
}

func TestUDPMalformedControlMessage(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, "127.0.0.1:0")
	pc, err := (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	for _, oob := range [][]byte{tosMessage(1, 0)[:unix.CmsgLen(0)], message(0, 0, 4, 0)[:unix.CmsgLen(1)]} {
		_, _, err := pc.(*UDPConn).WriteMsgUDP([]byte("x"), oob, r.LocalAddr().(*net.UDPAddr))
		require.Error(t, err)
		_, err = new(pin).pinControl(oob)
		require.Error(t, err, "pinControl refuses it too, because another kernel may be less strict")
	}
	r.silent(t)
}
