package dscp_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// exhaust leaves the process n free descriptors until the test ends or release is
// called.
func exhaust(t *testing.T, n int) (release func()) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 100
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var held []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			assert.Equal(t, unix.EMFILE, err)
			break
		}
		held = append(held, fd)
	}
	drop := func(fds []int) {
		for _, fd := range fds {
			assert.NoError(t, unix.Close(fd))
		}
	}
	require.GreaterOrEqual(t, len(held), n)
	drop(held[:n])
	held = held[n:]
	release = func() {
		drop(held)
		held = nil
		assert.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	}
	t.Cleanup(release)
	return release
}

// TestFaultNoDescriptors uses up the descriptors of the process.
func TestFaultNoDescriptors(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	each := func(name string, run func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			keepGarbage(t)
			run(t) // opens the descriptors that the runtime keeps
			before := leftovers(t)
			run(t)
			requireNothingLeft(t, before)
		})
	}
	for _, fam := range families {
		each(fam.name+"/dial", func(t *testing.T) {
			l, address := listenIn(t, fam)
			defer l.Close()
			release := exhaust(t, 0)
			for _, d := range []dscp.Dialer{
				{DSCP: dscp.AF21},
				{DSCP: dscp.AF21, AllowUnmarked: true},
				{DSCP: dscp.AF21, Fallback: fallback},
				{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 1},
			} {
				for _, network := range []string{"tcp", "udp"} {
					c, err := d.Dial(network, address)
					require.ErrorIs(t, err, unix.EMFILE)
					require.Nil(t, c)
					assert.ErrorContains(t, err, "dial "+network+" "+address)
					assert.ErrorContains(t, err, "with DSCP AF21")
					ne, ok := err.(net.Error)
					require.True(t, ok)
					assert.False(t, ne.Timeout())
				}
			}
			release()
			requireFlow(t, l, address)
		})
		each(fam.name+"/listen", func(t *testing.T) {
			release := exhaust(t, 0)
			defer release()
			lc := dscp.ListenConfig{DSCP: dscp.AF21}
			l, err := lc.Listen(t.Context(), fam.network, fam.listen)
			require.ErrorIs(t, err, unix.EMFILE)
			require.Nil(t, l)
			pc, err := lc.ListenPacket(t.Context(), "udp", fam.listen)
			require.ErrorIs(t, err, unix.EMFILE)
			require.Nil(t, pc)
		})
		each(fam.name+"/accept", func(t *testing.T) {
			l, address := listenIn(t, fam)
			defer l.Close()
			client, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", address)
			require.NoError(t, err)
			defer client.Close()
			release := exhaust(t, 0)
			for range 3 {
				c, err := l.Accept()
				require.ErrorIs(t, err, unix.EMFILE)
				require.Nil(t, c)
				ne, ok := err.(interface{ Temporary() bool })
				require.True(t, ok)
				assert.True(t, ne.Temporary(), "net/http's servers wait and try again: %v", err)
			}
			release()
			server, err := l.Accept()
			require.NoError(t, err, "once there are descriptors again")
			defer server.Close()
			assert.Equal(t, addrPort(client.LocalAddr()), addrPort(server.RemoteAddr()), "the conn was still in the backlog")
			assert.Equal(t, dscp.EF, server.(*dscp.Conn).DSCP())
			mark, ok := server.(*dscp.Conn).PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.AF21, mark)
		})
		each(fam.name+"/guard", func(t *testing.T) {
			l, address := listenIn(t, fam)
			defer l.Close()
			client, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", address)
			require.NoError(t, err)
			defer client.Close()
			c := client.(*dscp.Conn)
			set := func(cp dscp.CodePoint) error {
				if fam.dial == "::1" {
					return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
				}
				return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
			}
			release := exhaust(t, 0)
			for _, cp := range []dscp.CodePoint{dscp.CS1, dscp.DF, dscp.AF21} {
				require.ErrorIs(t, set(cp), unix.EMFILE, "there is no descriptor for a trial socket")
				require.NoError(t, c.Verify(), "the flow is unchanged")
			}
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			level, option := fam.sent()
			err = raw.Control(func(fd uintptr) { assert.NoError(t, unix.SetsockoptInt(int(fd), level, option, int(dscp.CS1.TOS()))) })
			require.ErrorIs(t, err, dscp.ErrMidFlow, "watching the closure needs no descriptor")
			require.NoError(t, c.Verify())
			release()
			require.ErrorIs(t, set(dscp.CS1), dscp.ErrMidFlow)
			require.NoError(t, set(dscp.AF21))
			require.NoError(t, c.Verify())
		})
	}
	hostile(t, map[string]string{"af21": "drop"})
	for _, fam := range families[:2] {
		each(fam.name+"/one descriptor for three marks", func(t *testing.T) {
			l, address := listenIn(t, fam)
			defer l.Close()
			// The deadline passes when the last mark has failed, however late that is.
			ctx := timeUp{t.Context(), make(chan struct{})}
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Millisecond, Trace: func(e dscp.Event) {
				if e.Rung == 2 {
					close(ctx.now)
				}
			}}
			release := exhaust(t, 1)
			_, err := d.DialContext(ctx, "tcp", address)
			errs := attemptErrors(err)
			require.Len(t, errs, 3, "%v", err)
			assert.NotErrorIs(t, errs[0], unix.EMFILE, "the first kept the descriptor until the deadline")
			assert.ErrorIs(t, errs[1], unix.EMFILE)
			assert.ErrorIs(t, errs[2], unix.EMFILE)
			assert.True(t, err.(net.Error).Timeout())
			release()
			c, err := (&dscp.Dialer{DSCP: dscp.LowDelay}).Dial("tcp", address)
			require.NoError(t, err)
			require.NoError(t, c.Close())
		})
	}
}

// timeUp is a context whose deadline passes when now is closed.
type timeUp struct {
	context.Context
	now chan struct{}
}

func (c timeUp) Done() <-chan struct{} { return c.now }

func (c timeUp) Err() error {
	select {
	case <-c.now:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// listenIn returns a listener of the family, marked EF, and the address to dial.
func listenIn(t *testing.T, fam family) (l net.Listener, address string) {
	t.Helper()
	l, err := (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), fam.network, fam.listen)
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return l, net.JoinHostPort(fam.dial, port)
}

// requireFlow requires that l accepts a connection, and that both sides are marked.
func requireFlow(t *testing.T, l net.Listener, address string) {
	t.Helper()
	client, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", address)
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	assert.Equal(t, dscp.AF21, client.(*dscp.Conn).DSCP())
	mark, ok := server.(*dscp.Conn).PeerDSCP()
	require.True(t, ok)
	assert.Equal(t, dscp.AF21, mark, "on the wire")
	assert.Equal(t, dscp.EF, server.(*dscp.Conn).DSCP())
}
