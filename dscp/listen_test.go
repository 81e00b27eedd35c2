package dscp

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// requireAccepts dials l, which listens on addr, on each loopback address that it takes, and
// checks the accepted conns: plain TCP, marked EF, with a SYN marked AF21.
func requireAccepts(t *testing.T, l net.Listener, addr string) {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, dst := range loopbacks(t) {
		host, _, err := net.SplitHostPort(dst)
		require.NoError(t, err)
		if addr != ":0" && dst != addr {
			continue
		}
		c, err := (&Dialer{DSCP: AF21}).Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		defer c.Close()
		accepted, err := l.Accept()
		require.NoError(t, err)
		defer accepted.Close()
		s := accepted.(*Conn)
		assert.Equal(t, EF, s.DSCP(), "peer %s", host)
		require.NoError(t, s.Verify())
		if peer, ok := s.PeerDSCP(); assert.Equal(t, runtime.GOOS == "linux", ok) && ok {
			assert.Equal(t, AF21, peer, "peer %s", host)
		}
		mp, err := s.MultipathTCP()
		require.NoError(t, err)
		assert.False(t, mp)
	}
}

func TestListenerConns(t *testing.T) {
	t.Parallel()
	requireHost(t)
	trial.Need(t, trial.Inherited)
	for _, mptcp := range []string{"default", "on", "off"} {
		for _, addr := range append(loopbacks(t), ":0") {
			t.Run(mptcp+"/"+addr, func(t *testing.T) {
				t.Parallel()
				own := new(net.ListenConfig)
				if mptcp != "default" {
					own.SetMultipathTCP(mptcp == "on")
				}
				before := *own
				l, err := (&ListenConfig{DSCP: EF, NetListenConfig: own}).Listen(t.Context(), "tcp", addr)
				require.NoError(t, err)
				defer l.Close()
				assert.Equal(t, before, *own)
				requireAccepts(t, l, addr)
			})
		}
	}
}

// TestControlAvoidsMPTCP passes Control to a net.ListenConfig that asks for Multipath
// TCP, as net does by default. The listener must be a marked plain TCP one.
func TestControlAvoidsMPTCP(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range append(loopbacks(t), ":0") {
		for name, control := range map[string]func(string, string, syscall.RawConn) error{
			"strict": Control(EF),
			"AllowUnmarked": func(n, a string, c syscall.RawConn) error {
				return marking{cp: EF, allowUnmarked: true}.apply(n, a, c)
			},
		} {
			t.Run(addr+"/"+name, func(t *testing.T) {
				t.Parallel()
				lc := &net.ListenConfig{Control: control}
				lc.SetMultipathTCP(true)
				l, err := lc.Listen(t.Context(), "tcp", addr)
				require.NoError(t, err)
				defer l.Close()
				raw, err := l.(*net.TCPListener).SyscallConn()
				require.NoError(t, err)
				require.False(t, tos.IsMPTCP(raw), "net falls back to plain TCP")
				for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
					octet, err := opt.Get(raw)
					if addr == ":0" || (opt == tos.IPv4TOS) == (addr == "127.0.0.1:0") {
						require.NoError(t, err)
						assert.Equal(t, EF.TOS(), octet, "%v", opt)
					}
				}
			})
		}
	}
}

func TestListenCallersHook(t *testing.T) {
	t.Parallel()
	requireHost(t)
	lc := &ListenConfig{DSCP: EF, NetListenConfig: &net.ListenConfig{
		Control: func(string, string, syscall.RawConn) error { return syscall.EPERM },
	}}
	_, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, syscall.EPERM)
	_, err = lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.ErrorIs(t, err, syscall.EPERM)
}

func TestWrap(t *testing.T) {
	t.Parallel()
	requireHost(t)
	trial.Need(t, trial.Inherited)
	for _, addr := range append(loopbacks(t), ":0") {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			plain := new(net.ListenConfig)
			plain.SetMultipathTCP(false)
			tl, err := plain.Listen(t.Context(), "tcp", addr)
			require.NoError(t, err)
			l, err := (&ListenConfig{DSCP: EF}).Wrap(tl.(*net.TCPListener))
			require.NoError(t, err)
			defer l.Close()
			requireAccepts(t, l, addr)
		})
	}
}

func TestWrapMPTCP(t *testing.T) {
	t.Parallel()
	requireHost(t)
	lc := new(net.ListenConfig)
	lc.SetMultipathTCP(true)
	tl, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer tl.Close()
	raw, err := tl.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	if !tos.IsMPTCP(raw) {
		t.Skip("this system has no Multipath TCP")
	}
	_, err = (&ListenConfig{DSCP: EF}).Wrap(tl.(*net.TCPListener))
	var u *UnsupportedError
	require.ErrorAs(t, err, &u)
	require.ErrorContains(t, err, tl.Addr().String())
	require.ErrorContains(t, err, "EF")
	l, err := (&ListenConfig{DSCP: EF, AllowUnmarked: true}).Wrap(tl.(*net.TCPListener))
	require.NoError(t, err)
	client, server := pair(t, &Dialer{}, l)
	assert.Equal(t, DF, server.DSCP())
	assert.Equal(t, DF, client.DSCP())
}

func TestAcceptAfterClose(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{DSCP: EF}, "127.0.0.1:0")
	require.NoError(t, l.Close())
	c, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	assert.True(t, c == nil, "no typed nil") // assert.Nil would accept one
	conn, err := l.(*Listener).AcceptConn()
	require.ErrorIs(t, err, net.ErrClosed)
	assert.Nil(t, conn)
}

// TestAcceptConn checks that AcceptConn does what Accept does, including Trace.
func TestAcceptConn(t *testing.T) {
	t.Parallel()
	requireHost(t)
	var events eventLog
	for _, addr := range loopbacks(t) {
		l := listenOn(t, &ListenConfig{DSCP: EF, Trace: events.add}, addr)
		events.last(t)
		client, err := (&Dialer{DSCP: AF21}).Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer client.Close()
		c, err := l.(*Listener).AcceptConn()
		require.NoError(t, err)
		defer c.Close()
		assert.Equal(t, EF, c.DSCP())
		if peer, ok := c.PeerDSCP(); runtime.GOOS == "linux" && assert.True(t, ok) {
			assert.Equal(t, AF21, peer)
		}
		e := events.last(t)
		assert.Equal(t, "accept", e.Op)
		assert.Equal(t, EF, e.Effective)
		assert.Equal(t, c.RemoteAddr(), e.Remote)
	}
}

// TestListenCancelled tries several times, because net may finish the lookup before it
// looks at the context, and then it listens.
func TestListenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for range 100 {
		var l net.Listener
		if l, err = (&ListenConfig{}).Listen(ctx, "tcp", "localhost:0"); err != nil {
			break
		}
		require.NoError(t, l.Close())
	}
	require.ErrorIs(t, err, context.Canceled)
}
