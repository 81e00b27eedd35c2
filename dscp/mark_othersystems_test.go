package dscp

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
)

func TestUnmarkableSystemsAreUnsupported(t *testing.T) {
	for _, goos := range []string{"windows", "plan9", "js", "wasip1", "unheard-of"} {
		onHost(t, goos)
		for network, option := range map[string]string{
			"tcp": "IP_TOS", "tcp4": "IP_TOS", "tcp6": "IPV6_TCLASS", "udp": "IP_TOS", "udp6": "IPV6_TCLASS", "ip4:icmp": "IP_TOS",
			"ip4:6": "IP_TOS", "ip6:ipv6-icmp": "IPV6_TCLASS",
		} {
			err := checkHost(network, AF21)
			require.ErrorIs(t, err, errors.ErrUnsupported)
			var u *UnsupportedError
			require.ErrorAs(t, err, &u)
			assert.Equal(t, UnsupportedError{goos, network, option, AF21, u.Err}, *u)
			for _, part := range []string{goos, network, option, "AF21"} {
				assert.ErrorContains(t, err, part)
			}
		}
		require.NoError(t, checkHost("tcp", DF), "nothing to mark")
		require.NoError(t, checkHost("unix", AF21), "unix sockets have no mark")
	}
}

func TestDialOnAnUnmarkableSystem(t *testing.T) {
	l, err := (&ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	onUnmarkableHost(t)

	d := &Dialer{DSCP: AF21}
	_, err = d.Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, errors.ErrUnsupported, "the dial fails before it connects")
	assert.ErrorContains(t, err, "127.0.0.1:1")
	_, err = d.Marked().Dial("tcp", l.Addr().String())
	require.Error(t, err)
	if runtime.GOOS != "wasip1" { // there net itself fails, with an error that does not match
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	_, err = (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.ErrorIs(t, err, errors.ErrUnsupported)

	d.AllowUnmarked = true
	assert.Nil(t, d.Marked().ControlContext, "no hook on a system that cannot mark")
	c, err := d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, DF, c.(*Conn).DSCP())
	require.NoError(t, c.(*Conn).Verify())
	require.ErrorIs(t, c.(*Conn).SetDSCP(AF21), ErrMidFlow)

	d.Fallback = []CodePoint{LowDelay, DF}
	assert.Nil(t, d.fallbackMarks("tcp"), "all attempts would be the same")

	require.NoError(t, c.Close())
	switch runtime.GOOS {
	case "js", "plan9", "wasip1": // net gives no access to the socket, so Verify cannot see that it is closed
	default:
		require.ErrorIs(t, c.(*Conn).Verify(), net.ErrClosed)
	}
}

// noAccess is a conn of a system on which net gives no access to the socket, such as
// Plan 9.
type noAccess struct{ *net.TCPConn }

var errNoAccess = errors.New("not implemented")

func (c noAccess) SyscallConn() (syscall.RawConn, error) { return refusing{err: errNoAccess}, nil }

func TestPinWithoutAccess(t *testing.T) {
	client, _ := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	onUnmarkableHost(t)
	var p pin
	require.NoError(t, p.set(noAccess{client.TCPConn}))
	assert.Equal(t, DF, p.cp)
	require.NoError(t, p.verify())
	raw, err := p.guarded()
	require.NoError(t, err)
	require.ErrorIs(t, raw.Control(func(uintptr) {}), errNoAccess)
}

// failsFirst is a raw conn whose first calls fail with EINVAL.
type failsFirst struct {
	syscall.RawConn
	calls *int
}

func (m failsFirst) Control(f func(uintptr)) error {
	if *m.calls--; *m.calls >= 0 {
		return os.NewSyscallError("getsockopt", syscall.EINVAL)
	}
	return m.RawConn.Control(f)
}

// TestPinMappedOnDarwin pins an accepted conn as on macOS: an IPv6 socket with an IPv4
// peer, which has IPV6_TCLASS but not IP_TOS.
func TestPinMappedOnDarwin(t *testing.T) {
	requireHost(t)
	if tos.Host.OS != "linux" {
		t.Skip("the test imitates a missing IP_TOS, and IPv6 sockets of this system do lack it")
	}
	l := listenOn(t, &ListenConfig{}, ":0")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	client, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", port))
	require.NoError(t, err)
	defer client.Close()
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	server := accepted.(*Conn)
	bare, err := server.TCPConn.SyscallConn()
	require.NoError(t, err)
	onHost(t, "darwin")
	for refusals, want := range map[int]bool{1: true, 2: false} { // 2: the peer has reset it, so it has neither option
		var p pin
		err := p.set(rawTCPConn{server.TCPConn, failsFirst{bare, &refusals}})
		if want {
			require.NoError(t, err)
			assert.Equal(t, DF, p.cp)
			continue
		}
		assert.True(t, resetByPeer(err), "%v", err)
	}
}

// TestGuardOfAResetConn checks that the guard allows a missing option where the system
// refuses all options of a conn that the peer has reset, as macOS and the BSDs do. Data
// that has arrived can then still be read.
func TestGuardOfAResetConn(t *testing.T) {
	requireHost(t)
	_, server := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	reset := os.NewSyscallError("getsockopt", syscall.EINVAL)
	assert.False(t, server.pin.mayLack(tos.IPv4TOS, reset))
	onHost(t, "darwin")
	assert.True(t, server.pin.mayLack(tos.IPv4TOS, reset))
}

// TestDualStackIsUnsupportedOnDarwin checks that the error names the missing option.
func TestDualStackIsUnsupportedOnDarwin(t *testing.T) {
	requireHost(t)
	onHost(t, "darwin")
	socket := tos.FD(^uintptr(0)) // not used: the families follow from the address
	err := mark("udp6", "192.0.2.1:53", AF21, socket, true)
	var u *UnsupportedError
	require.ErrorAs(t, err, &u)
	assert.Equal(t, UnsupportedError{"darwin", "udp6", "IP_TOS", AF21, u.Err}, *u)
	assert.ErrorContains(t, err, "tcp4 and tcp6")

	pc, err := (&ListenConfig{}).ListenPacket(t.Context(), "udp", ":0")
	require.NoError(t, err)
	defer pc.Close()
	if a := pc.LocalAddr().(*net.UDPAddr); a.IP.To4() != nil {
		t.Skip("this system has no dual-stack sockets")
	}
	err = pc.(*UDPConn).ReceiveMarks()
	require.ErrorAs(t, err, &u)
	assert.Equal(t, UnsupportedError{"darwin", "udp6", "IP_RECVTOS", DF, u.Err}, *u)
}
