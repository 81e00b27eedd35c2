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
)

// TestPlatformOptions holds the decision for every system, also where this one
// cannot run it.
func TestPlatformOptions(t *testing.T) {
	t.Parallel()
	v4, v6, both := []option{ipTOS}, []option{trafficClass}, []option{trafficClass, ipTOS}
	tests := []struct {
		name    string
		network string
		address string
		v6only  bool
		want    []option // nil: UnsupportedError where IP_TOS does not go with AF_INET6
	}{
		{"IPv4 dial", "tcp4", "192.0.2.1:22", false, v4},
		{"IPv4 wildcard", "tcp4", "0.0.0.0:22", false, v4},
		{"IPv6 dial", "tcp6", "[2001:db8::1]:22", false, v6},
		{"IPv6 dial with zone", "tcp6", "[fe80::1%eth0]:22", false, v6},
		{"IPv6 listener on one address", "tcp6", "[::1]:22", false, v6},
		{"IPv6-only wildcard", "tcp6", "[::]:22", true, v6},
		{"IPv6-only wildcard, shown as IPv4", "tcp6", "0.0.0.0:22", true, v6},
		{"dual-stack wildcard", "tcp6", "[::]:22", false, nil},
		{"dual-stack wildcard, shown as IPv4", "tcp6", "0.0.0.0:22", false, nil},
		{"dual-stack wildcard, no address", "udp6", "", false, nil},
		{"IPv6 socket to an IPv4 peer", "udp6", "192.0.2.1:53", false, nil},
		{"IPv6 socket to an IPv4-mapped peer", "udp6", "[::ffff:192.0.2.1]:53", false, nil},
		{"raw IPv4", "ip4", "192.0.2.1", false, v4},
		{"raw IPv6", "ip6", "2001:db8::1", false, v6},
	}
	for goos, mapped := range map[string]bool{
		"linux": true, "android": true, "solaris": true, "illumos": true, "aix": true,
		"darwin": false, "ios": false, "freebsd": false, "netbsd": false, "openbsd": false, "dragonfly": false,
	} {
		for _, tt := range tests {
			t.Run(goos+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				p := platformOf(goos)
				require.NoError(t, p.check(tt.network, AF21))
				got, err := p.options(tt.network, peersOf(tt.address), func() (bool, error) { return tt.v6only, nil })
				switch {
				case tt.want != nil:
					require.NoError(t, err)
					assert.Equal(t, tt.want, got)
				case mapped:
					require.NoError(t, err)
					assert.Equal(t, both, got)
				default:
					require.ErrorIs(t, err, errors.ErrUnsupported)
					var u *UnsupportedError
					require.ErrorAs(t, err, &u)
					assert.Equal(t, goos, u.OS)
					assert.ErrorContains(t, err, "tcp4 and tcp6")
				}
			})
		}
	}
}

func TestPlatformV6OnlyFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	_, err := platformOf("linux").options("tcp6", peersAny, func() (bool, error) { return false, boom })
	require.ErrorIs(t, err, boom)
}

func TestBlindPlatforms(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"windows", "plan9", "js", "wasip1", "unheard-of"} {
		p := platformOf(goos)
		for network, option := range map[string]string{
			"tcp": "IP_TOS", "tcp4": "IP_TOS", "tcp6": "IPV6_TCLASS", "udp": "IP_TOS", "udp6": "IPV6_TCLASS", "ip4:icmp": "IP_TOS",
			"ip4:6": "IP_TOS", "ip6:ipv6-icmp": "IPV6_TCLASS",
		} {
			err := p.check(network, AF21)
			require.ErrorIs(t, err, errors.ErrUnsupported)
			var u *UnsupportedError
			require.ErrorAs(t, err, &u)
			assert.Equal(t, UnsupportedError{goos, network, option, AF21, u.Err}, *u)
			for _, part := range []string{goos, network, option, "AF21"} {
				assert.ErrorContains(t, err, part)
			}
		}
		require.NoError(t, p.check("tcp", DF), "nothing to mark")
		require.NoError(t, p.check("unix", AF21), "nothing to mark on")
	}
}

// onBlindHost has the package believe that it runs where nothing can be marked.
// It must not run in parallel with tests that mark.
func onBlindHost(t *testing.T) { onHost(t, "windows") }

func onHost(t *testing.T, goos string) {
	real := host
	host = platformOf(goos)
	t.Cleanup(func() { host = real })
}

func TestDialerOnBlindHost(t *testing.T) {
	l, err := (&ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	onBlindHost(t)

	d := &Dialer{DSCP: AF21}
	_, err = d.Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, errors.ErrUnsupported, "refused before anybody could refuse the connection")
	assert.ErrorContains(t, err, "127.0.0.1:1")
	_, err = d.Marked().Dial("tcp", l.Addr().String())
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = (&ListenConfig{DSCP: AF21}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.ErrorIs(t, err, errors.ErrUnsupported)

	d.AllowUnmarked = true
	assert.Nil(t, d.Marked().ControlContext, "no hook where it cannot help")
	c, err := d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, DF, c.(*Conn).DSCP())
	require.NoError(t, c.(*Conn).Verify())
	require.ErrorIs(t, c.(*Conn).SetDSCP(AF21), ErrMidFlow)

	d.Fallback = []CodePoint{LowDelay, DF}
	assert.Nil(t, d.fallbackMarks("tcp"), "all attempts would be the same")

	require.NoError(t, c.Close())
	require.ErrorIs(t, c.(*Conn).Verify(), net.ErrClosed)
}

// noAccess is a conn of a system whose net lets nobody at the socket, as plan9's.
type noAccess struct{ *net.TCPConn }

var errNoAccess = errors.New("not implemented")

func (c noAccess) SyscallConn() (syscall.RawConn, error) { return refusing{err: errNoAccess}, nil }

func TestPinWithoutAccess(t *testing.T) {
	client, _ := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	onBlindHost(t)
	var p pin
	require.NoError(t, p.set(noAccess{client.TCPConn}))
	assert.Equal(t, DF, p.cp)
	require.NoError(t, p.verify())
	raw, err := p.guarded()
	require.NoError(t, err)
	require.ErrorIs(t, raw.Control(func(uintptr) {}), errNoAccess)
}

// mute refuses the first calls with EINVAL.
type mute struct {
	syscall.RawConn
	calls *int
}

func (m mute) Control(f func(uintptr)) error {
	if *m.calls--; *m.calls >= 0 {
		return os.NewSyscallError("getsockopt", syscall.EINVAL)
	}
	return m.RawConn.Control(f)
}

type muteConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c muteConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// TestPinMappedOnDarwin pins an accepted conn as macOS has it: an IPv6 socket with
// an IPv4 peer, which knows IPV6_TCLASS but not IP_TOS.
func TestPinMappedOnDarwin(t *testing.T) {
	requireHost(t)
	if host.os != "linux" {
		t.Skip("an IPv6 socket of this system lacks IP_TOS in earnest")
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
	for refusals, want := range map[int]bool{1: true, 2: false} { // 2: it has been reset, and knows nothing
		var p pin
		err := p.set(muteConn{server.TCPConn, mute{bare, &refusals}})
		if want {
			require.NoError(t, err)
			assert.Equal(t, DF, p.cp)
			continue
		}
		assert.True(t, gone(err), "%v", err)
	}
}

// TestGuardOfAResetConn has every option refused, as macOS and the BSDs do when the
// peer has reset a conn: what is there to be read still is.
func TestGuardOfAResetConn(t *testing.T) {
	requireHost(t)
	_, server := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	g := guardedConn{&server.pin}
	var reset marks
	reset[ipTOS].err = os.NewSyscallError("getsockopt", syscall.EINVAL)
	require.ErrorIs(t, g.unread(reset), syscall.EINVAL)
	onHost(t, "darwin")
	require.NoError(t, g.unread(reset))
}

func TestHostIsThisSystem(t *testing.T) {
	t.Parallel()
	assert.Equal(t, platformOf(runtime.GOOS), platformOf(host.os))
}
