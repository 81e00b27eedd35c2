package reuseport

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// chosen runs the steering program on the first two octets of an IP header.
func chosen(t *testing.T, octets []uint8, header uint16) int {
	t.Helper()
	program := steering(octets)
	require.Equal(t, bpf.LoadAbsolute{Off: ipHeader, Size: 2}, program[0])
	program[0] = bpf.LoadAbsolute{Off: 0, Size: 2} // x/net's VM has no SKF_NET_OFF
	vm, err := bpf.NewVM(program)
	require.NoError(t, err)
	n, err := vm.Run([]byte{byte(header >> 8), byte(header)})
	require.NoError(t, err)
	return n
}

// TestSteering steers every octet, of both versions of IP, to the member of its class,
// whatever the ECN bits.
func TestSteering(t *testing.T) {
	t.Parallel()
	many := make([]uint8, 0, 63)
	for cp := uint8(1); cp < 64; cp++ {
		many = append(many, cp<<2)
	}
	for _, octets := range [][]uint8{nil, {0x48}, {0x20, 0x48, 0xb8, 0xfc, 0}, many} {
		for octet := range 256 {
			want := 0
			for i, o := range octets {
				if o == uint8(octet)&^3 {
					want = i + 1
				}
			}
			assert.Equal(t, want, chosen(t, octets, 0x4500|uint16(octet)), "IPv4 %#x", octet)
			assert.Equal(t, want, chosen(t, octets, 0x4f00|uint16(octet)), "IPv4 with options %#x", octet)
			assert.Equal(t, want, chosen(t, octets, 0x6000|uint16(octet)<<4), "IPv6 %#x", octet)
			assert.Equal(t, want, chosen(t, octets, 0x600f|uint16(octet)<<4), "IPv6 with a flow label %#x", octet)
		}
	}
}

func TestWithoutSYN(t *testing.T) {
	t.Parallel()
	vm, err := bpf.NewVM(withoutSYN)
	require.NoError(t, err)
	for flags := range 256 {
		header := make([]byte, 20)
		header[13] = byte(flags)
		n, err := vm.Run(header)
		require.NoError(t, err)
		lost := flags&0x02 != 0 && flags&0x10 == 0
		assert.Equal(t, lost, n == 0, "flags %#x", flags)
	}
}

func listen(t *testing.T, control func(syscall.RawConn) error) (*net.TCPListener, error) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return control(c) }}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener), nil
}

// TestHold tries to connect while a listener is held, which times out, and after Release,
// which succeeds. A filter of the caller stays attached.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4, 5, 100, 4096} { // hasFilter must not write instructions
		var held Held
		l, err := listen(t, func(c syscall.RawConn) (err error) {
			if n > 0 {
				program := make([]bpf.Instruction, n)
				for i := range program {
					program[i] = bpf.RetConstant{Val: 0xffffffff}
				}
				err = control(c, func(fd int) error { return attach(fd, unix.SO_ATTACH_FILTER, "SO_ATTACH_FILTER", program) })
				if errors.Is(err, unix.EPERM) {
					t.Skipf("this kernel requires a privilege: %v", err)
				}
			}
			if err == nil {
				held, err = Hold(c)
			}
			return err
		})
		require.NoError(t, err)
		_, err = net.DialTimeout("tcp", l.Addr().String(), 20*time.Millisecond)
		var late net.Error
		require.ErrorAs(t, err, &late)
		require.True(t, late.Timeout())
		raw, err := l.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, held.Release(raw))
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, control(raw, func(fd int) error {
			has, err := hasFilter(fd)
			assert.Equal(t, n > 0, has)
			ttl, terr := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL)
			assert.Zero(t, ttl)
			return errors.Join(err, terr)
		}))
	}
}

// TestErrors checks the errors for a closed socket.
func TestErrors(t *testing.T) {
	t.Parallel()
	l, err := listen(t, func(syscall.RawConn) error { return nil })
	require.NoError(t, err)
	raw, err := l.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, held := Hold(raw)
	for _, err := range []error{Lead(raw, nil), Join(raw), held, Held{}.Release(raw), Held{}.Restore(raw)} {
		require.ErrorIs(t, err, net.ErrClosed)
	}
	err = failed("SO_REUSEPORT", "setsockopt", unix.EPERM)
	require.ErrorIs(t, err, unix.EPERM)
	assert.EqualError(t, err, "SO_REUSEPORT: setsockopt: operation not permitted")
}
