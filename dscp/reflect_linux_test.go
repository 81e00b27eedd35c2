package dscp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/trial"
	"github.com/godscp/godscp/internal/wire"
)

// four configures a group of four sockets.
var four = dscp.ListenConfig{DSCP: dscp.CS2, Reflect: []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.EF}}

func listenFour(t *testing.T, address string) *dscp.Listener {
	t.Helper()
	trial.Need(t, trial.MinTTL)
	l, err := four.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() }) //nolint:errcheck,gosec // already closed unless the test failed
	return l.(*dscp.Listener)
}

// dialMarked returns a conn with the mark, which is closed when the test ends.
func dialMarked(t *testing.T, cp dscp.CodePoint, l net.Listener) net.Conn {
	t.Helper()
	c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() }) //nolint:errcheck,gosec // nothing was sent
	return c
}

// TestReflectAccept accepts by every method of Listener.
func TestReflectAccept(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listenFour(t, address)
		for _, cp := range []dscp.CodePoint{dscp.CS2, dscp.AF21, dscp.CS1, dscp.EF, dscp.AF41, dscp.DF} {
			want := answered(&four, cp)
			dialMarked(t, cp, l)
			c, err := l.Accept()
			require.NoError(t, err)
			assert.Equal(t, want, c.(*dscp.Conn).DSCP())
			peer, ok := c.(*dscp.Conn).PeerDSCP()
			assert.True(t, ok)
			assert.Equal(t, cp, peer)
			require.NoError(t, c.(*dscp.Conn).Verify())
			require.ErrorIs(t, c.(*dscp.Conn).SetDSCP(dscp.CS7), dscp.ErrMidFlow)
			require.NoError(t, c.Close())

			dialMarked(t, cp, l)
			pinned, err := l.AcceptConn()
			require.NoError(t, err)
			assert.Equal(t, want, pinned.DSCP())
			require.NoError(t, pinned.Close())

			dialMarked(t, cp, l)
			bare, err := l.AcceptTCP()
			require.NoError(t, err)
			pinned, err = dscp.Pin(bare)
			require.NoError(t, err)
			assert.Equal(t, want, pinned.DSCP())
			peer, ok = pinned.PeerDSCP()
			assert.True(t, ok)
			assert.Equal(t, cp, peer)
			require.NoError(t, pinned.Close())
		}
	}
}

// TestReflectAsOneListener compares the results of a group to those of a listener with
// one socket.
func TestReflectAsOneListener(t *testing.T) {
	t.Parallel()
	type listener interface {
		net.Listener
		SetDeadline(time.Time) error
		File() (*os.File, error)
	}
	past, soon := time.Unix(1, 0), 20*time.Millisecond
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, l listener) error
	}{
		{"deadline in the past", func(t *testing.T, l listener) error {
			dialMarked(t, dscp.AF21, l) // Accept fails although a conn is waiting
			require.NoError(t, l.SetDeadline(past))
			_, err := l.Accept()
			return err
		}},
		{"deadline", func(t *testing.T, l listener) error {
			begin := time.Now()
			require.NoError(t, l.SetDeadline(begin.Add(soon)))
			_, err := l.Accept()
			assert.GreaterOrEqual(t, time.Since(begin), soon)
			return err
		}},
		{"deadline moved to the past during Accept", func(t *testing.T, l listener) error {
			require.NoError(t, l.SetDeadline(time.Now().Add(time.Hour)))
			time.AfterFunc(soon, func() { assert.NoError(t, l.SetDeadline(past)) })
			_, err := l.Accept()
			return err
		}},
		{"deadline removed", func(t *testing.T, l listener) error {
			require.NoError(t, l.SetDeadline(past))
			_, err := l.Accept()
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, l.SetDeadline(time.Now().Add(soon)))
			require.NoError(t, l.SetDeadline(time.Time{}))
			dialMarked(t, dscp.AF21, l)
			c, err := l.Accept()
			if err == nil {
				require.NoError(t, c.Close())
			}
			return err
		}},
		{"Close during Accept", func(t *testing.T, l listener) error {
			time.AfterFunc(soon, func() { assert.NoError(t, l.Close()) })
			_, err := l.Accept()
			return err
		}},
		{"Accept after Close", func(t *testing.T, l listener) error {
			require.NoError(t, l.Close())
			_, err := l.Accept()
			return err
		}},
		{"Close twice", func(t *testing.T, l listener) error {
			require.NoError(t, l.Close())
			return l.Close()
		}},
		{"SetDeadline after Close", func(t *testing.T, l listener) error {
			require.NoError(t, l.Close())
			return l.SetDeadline(past)
		}},
		{"File after Close", func(t *testing.T, l listener) error {
			require.NoError(t, l.Close())
			_, err := l.File()
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			one, err := (&dscp.ListenConfig{DSCP: dscp.CS2}).Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			defer one.Close() //nolint:errcheck // closed by the test
			several := listenFour(t, address)
			want := tt.run(t, one.(listener))
			got := tt.run(t, several)
			if want == nil {
				require.NoError(t, got)
				return
			}
			require.Error(t, got)
			text := func(err error, l net.Listener) string {
				return strings.ReplaceAll(err.Error(), l.Addr().String(), "ADDRESS")
			}
			assert.Equal(t, text(want, one), text(got, several))
			for _, is := range []error{net.ErrClosed, os.ErrDeadlineExceeded} {
				assert.Equal(t, errors.Is(want, is), errors.Is(got, is))
			}
			var wantOp, gotOp *net.OpError
			if !errors.As(want, &wantOp) {
				return
			}
			require.ErrorAs(t, got, &gotOp)
			assert.Equal(t, wantOp.Op, gotOp.Op)
			assert.Equal(t, wantOp.Net, gotOp.Net)
			assert.Equal(t, wantOp.Timeout(), gotOp.Timeout())
			assert.Equal(t, wantOp.Temporary(), gotOp.Temporary())
			assert.IsType(t, wantOp.Addr, gotOp.Addr)
		})
	}
}

// TestReflectServesHTTP serves HTTP from a group.
func TestReflectServesHTTP(t *testing.T) {
	t.Parallel()
	l := listenFour(t, "127.0.0.1:0")
	server := &httptest.Server{Listener: l, Config: &http.Server{ //nolint:gosec // on loopback
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Context().Value(key{}).(*dscp.Conn).DSCP().String())
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
	}}
	server.Start()
	defer server.Close()
	for _, cp := range codePoints() {
		transport := &http.Transport{DialContext: (&dscp.Dialer{DSCP: cp}).DialContext}
		answer, err := (&http.Client{Transport: transport}).Get(server.URL)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, answered(&four, cp).String(), string(body))
		transport.CloseIdleConnections()
	}
}

type key struct{}

// TestReflectIsFair checks that Accept soon returns one conn of EF although a hundred
// conns of DSCP came before.
func TestReflectIsFair(t *testing.T) {
	t.Parallel()
	l := listenFour(t, "127.0.0.1:0")
	require.Zero(t, backlogs(t, l))
	for range 100 {
		dialMarked(t, dscp.CS2, l)
	}
	dialMarked(t, dscp.EF, l)
	require.Eventually(t, func() bool { return backlogs(t, l) == 99 }, 10*time.Second, time.Millisecond, "the group has accepted one conn of each")
	for n := 1; ; n++ {
		c, err := l.AcceptConn()
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // nothing was sent
		if c.DSCP() == dscp.EF {
			assert.LessOrEqual(t, n, 8)
			return
		}
	}
}

// TestReflectBacklogOfOneClass checks that a full backlog loses SYNs of its own class
// only.
func TestReflectBacklogOfOneClass(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.core.somaxconn", "4")
	l := listenFour(t, "127.0.0.1:0")
	d := dscp.Dialer{DSCP: dscp.CS1, NetDialer: &net.Dialer{Timeout: 100 * time.Millisecond}}
	full, n := false, 3
	for range 50 {
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			full = true
			break
		}
		defer c.Close() //nolint:errcheck // nothing was sent
		n++
	}
	require.True(t, full)
	require.NoError(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.EF, dscp.CS2} {
		dialMarked(t, cp, l)
	}
	seen := map[dscp.CodePoint]bool{}
	for range n {
		c, err := l.AcceptConn()
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // nothing was sent
		seen[c.DSCP()] = true
	}
	assert.Len(t, seen, 4, "%v", seen)
}

// TestReflectIsExclusive checks that a second listener on the port of a group fails, and
// a group on the port of a listener.
func TestReflectIsExclusive(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		for _, other := range []dscp.ListenConfig{{}, four, {Reflect: []dscp.CodePoint{dscp.EF}}, {NetListenConfig: &net.ListenConfig{Control: withReusePort}, Reflect: []dscp.CodePoint{dscp.EF}}} {
			l := listenFour(t, address)
			_, err := other.Listen(t.Context(), "tcp", l.Addr().String())
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "listen", op.Op)
			require.NoError(t, l.Close())

			one, err := other.Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			_, err = four.Listen(t.Context(), "tcp", one.Addr().String())
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.NoError(t, one.Close())
		}
	}
	// A group does not join another listener that has SO_REUSEPORT.
	one, err := (&net.ListenConfig{Control: withReusePort}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer one.Close() //nolint:errcheck // nothing was accepted
	_, err = four.Listen(t.Context(), "tcp", one.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func withReusePort(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return errors.Join(cerr, err)
}

// TestReflectTwoAtOnce opens several groups on one port at the same time: at most one
// gets the port, and it serves all classes.
func TestReflectTwoAtOnce(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.MinTTL)
	for _, network := range []string{"tcp4", "tcp6", "tcp"} {
		host := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "tcp": ":0"}[network]
		for range long.N(20, 300) {
			address := freePort(t, network, host)
			var got [4]net.Listener
			var errs [4]error
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for i := range got {
				wg.Go(func() {
					<-begin
					got[i], errs[i] = four.Listen(t.Context(), network, address)
				})
			}
			close(begin)
			wg.Wait()
			won := 0
			for i, l := range got {
				if errs[i] != nil {
					require.ErrorIs(t, errs[i], syscall.EADDRINUSE)
					continue
				}
				won++
				_, port, err := net.SplitHostPort(l.Addr().String())
				require.NoError(t, err)
				for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.EF, dscp.DF} {
					to := map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1", "tcp": "127.0.0.1"}[network]
					c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", net.JoinHostPort(to, port))
					require.NoError(t, err)
					s, err := l.Accept()
					require.NoError(t, err)
					assert.Equal(t, answered(&four, cp), s.(*dscp.Conn).DSCP())
					require.NoError(t, errors.Join(c.Close(), s.Close()))
				}
				require.NoError(t, l.Close())
			}
			require.LessOrEqual(t, won, 1)
		}
	}
}

// TestReflectLeavesNothing must not run in parallel: it counts the goroutines and
// descriptors of the process.
func TestReflectLeavesNothing(t *testing.T) {
	trial.Need(t, trial.MinTTL)
	runs := map[string]func(){
		"closed": func() {
			l, err := four.Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			_, err = four.Listen(t.Context(), "tcp", l.Addr().String())
			require.Error(t, err)
			var clients []net.Conn
			for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.AF21, dscp.EF, dscp.CS2} {
				c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				clients = append(clients, c)
			}
			s, err := l.Accept()
			require.NoError(t, err)
			require.NoError(t, s.Close())
			require.NoError(t, l.Close())
			for _, c := range clients { // also those that were not accepted
				require.NoError(t, c.Close())
			}
		},
		"refused by the hook of the third socket": func() {
			n := 0
			lc := four
			lc.NetListenConfig = &net.ListenConfig{Control: func(string, string, syscall.RawConn) error {
				if n++; n == 3 {
					return syscall.EPERM
				}
				return nil
			}}
			_, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.ErrorIs(t, err, syscall.EPERM)
		},
		"dropped": func() {
			_, err := four.Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			for range 3 {
				runtime.GC()
			}
		},
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			keepGarbage(t)
			run() // opens the descriptors that the runtime keeps
			before := leftovers(t)
			for range 20 {
				run()
			}
			requireNothingLeft(t, before)
		})
	}
}

// TestReflectDropped checks that the garbage collector does not close a Listener while a
// goroutine waits in its Accept or AcceptTCP.
func TestReflectDropped(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.MinTTL)
	for name, accept := range map[string]func(*dscp.Listener) error{
		"Accept":    func(l *dscp.Listener) error { _, err := l.Accept(); return err },
		"AcceptTCP": func(l *dscp.Listener) error { _, err := l.AcceptTCP(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := make(chan string, 1)
			accepted := make(chan error, 1)
			go func() {
				l, err := four.Listen(context.Background(), "tcp", "127.0.0.1:0")
				if err != nil {
					accepted <- err
					return
				}
				address <- l.Addr().String()
				accepted <- accept(l.(*dscp.Listener))
			}()
			var to string
			select {
			case to = <-address:
			case err := <-accepted:
				require.NoError(t, err, "Listen")
			}
			// The collector would close the listener in the cycle in which it closes the
			// first of these, or before.
			for range 2 {
				requireCollected(t, dropListener(t))
			}
			c, err := net.Dial("tcp", to)
			require.NoError(t, err)
			defer c.Close() //nolint:errcheck // nothing was sent
			require.NoError(t, <-accepted)
		})
	}
}

// dropListener opens a group that nothing refers to, and returns its port.
func dropListener(t *testing.T) uint16 {
	t.Helper()
	l, err := four.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listenPort(l)
}

// requireCollected runs the garbage collector until no socket listens on the port.
func requireCollected(t *testing.T, port uint16) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for len(memberFDs(t, port)) > 0 {
		require.True(t, time.Now().Before(deadline), "the garbage collector closes an unreachable listener")
		runtime.GC()
	}
}

// TestReflectNoDescriptors uses up the descriptors before a group opens, which must leave
// no socket open, and before it accepts: Accept fails, and goes on when there are
// descriptors again.
func TestReflectNoDescriptors(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	_, err := four.Listen(t.Context(), "tcp", "127.0.0.1:0") // opens the descriptors that the runtime keeps
	require.NoError(t, err)
	for n := range 4 {
		before := leftovers(t)
		release := exhaust(t, n)
		_, err := four.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.ErrorIs(t, err, syscall.EMFILE, "%d descriptors", n)
		release()
		requireNothingLeft(t, before)
	}

	l := listenFour(t, "127.0.0.1:0")
	waiting := dialMarked(t, dscp.EF, l)
	c, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, errors.Join(c.Close(), waiting.Close()))
	classes := []dscp.CodePoint{dscp.CS2, dscp.AF21, dscp.CS1, dscp.EF}
	clients := make([]int, len(classes))
	for i := range clients {
		clients[i], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(clients[i]) //nolint:errcheck // nothing was sent
	}
	release := exhaust(t, 0)
	for i, client := range clients {
		require.NoError(t, unix.SetsockoptInt(client, unix.IPPROTO_IP, unix.IP_TOS, int(classes[i].TOS())))
		require.NoError(t, unix.Connect(client, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(listenPort(l))}))
	}
	for range 20 { // until each member has failed
		_, err = l.Accept()
		require.ErrorIs(t, err, syscall.EMFILE)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.True(t, op.Temporary(), "accept loops go on")
	}
	release()
	var got []dscp.CodePoint
	for range classes {
		pinned, err := l.AcceptConn()
		require.NoError(t, err, "no error from before the call")
		got = append(got, pinned.DSCP())
		require.NoError(t, pinned.Close())
	}
	assert.ElementsMatch(t, classes, got)
}

// memberFDs returns the descriptors of the sockets that listen on a port, in the order
// in which they were made.
func memberFDs(t *testing.T, port uint16) (fds []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		link, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if !strings.HasPrefix(link, "socket:") {
			continue
		}
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		name, nerr := unix.Getsockname(fd)
		if in4, ok := name.(*unix.SockaddrInet4); err == nil && nerr == nil && listens == 1 && ok && in4.Port == int(port) {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	return fds
}

// backlogs returns the number of connections in the backlogs of a group.
func backlogs(t *testing.T, l net.Listener) (n int) {
	t.Helper()
	for _, fd := range memberFDs(t, listenPort(l)) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(t, err)
		n += int(info.Unacked) // for a listening socket the length of its backlog
	}
	return n
}

// TestReflectMemberGone breaks one socket of a group. Either Accept fails with the error
// of that socket and the whole group closes, or Accept returns no conn of a wrong class.
func TestReflectMemberGone(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	require.NoError(t, listenFour(t, "127.0.0.1:0").Close()) // opens the descriptors that the runtime keeps
	t.Run("shut down", func(t *testing.T) {
		before := leftovers(t)
		l := listenFour(t, "127.0.0.1:0")
		fds := memberFDs(t, listenPort(l))
		require.Len(t, fds, 4)
		require.NoError(t, unix.Shutdown(fds[1], unix.SHUT_RD))
		for range 2 {
			_, err := l.Accept()
			require.ErrorIs(t, err, syscall.EINVAL, "Accept returns the error of the member")
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "accept", op.Op)
			assert.False(t, op.Temporary())
		}
		_, err := net.Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "every member is closed")
		require.NoError(t, l.Close())
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		requireNothingLeft(t, before)
	})
	t.Run("the embedded listener closed", func(t *testing.T) {
		before := leftovers(t)
		l := listenFour(t, "127.0.0.1:0")
		require.NoError(t, l.TCPListener.Close())
		_, err := l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = net.Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "every member is closed")
		require.NoError(t, l.Close())
		requireNothingLeft(t, before)
	})
	t.Run("descriptor replaced", func(t *testing.T) {
		l := listenFour(t, "127.0.0.1:0")
		fds := memberFDs(t, listenPort(l))
		require.Len(t, fds, 4)
		// Another socket keeps the descriptor's number, so that it is not reused.
		spare, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Dup3(spare, fds[1], unix.O_CLOEXEC))
		require.NoError(t, unix.Close(spare))
		// Until the goroutine that accepts from it wakes up, the kernel gives AF21 to the
		// last socket of the group, which has moved to its place.
		c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
		if err == nil {
			defer c.Close() //nolint:errcheck // nothing was sent
		}
		_, err = l.Accept()
		if me, ok := errors.AsType[*dscp.MarkError](err); ok {
			assert.Equal(t, dscp.AF21, me.CodePoint)
		} else {
			require.ErrorIs(t, err, syscall.EINVAL)
		}
		_ = l.Close()
	})
}

// TestReflectProgramReplaced replaces the BPF program that selects the socket. A conn of
// another class than the mark of its SYN is reset, and Accept fails. With AllowUnmarked,
// Accept returns it.
func TestReflectProgramReplaced(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, allow := range []bool{false, true} {
		var events []dscp.Event
		lc := four
		lc.AllowUnmarked = allow
		lc.Trace = func(e dscp.Event) { events = append(events, e) }
		group, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l := group.(*dscp.Listener)
		fds := memberFDs(t, listenPort(l))
		require.Len(t, fds, 4)
		third := unix.SockFilter{Code: unix.BPF_RET, K: 3} // the socket for EF
		require.NoError(t, unix.SetsockoptSockFprog(fds[0], unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: 1, Filter: &third}))

		capture := wire.Start(t, "lo", listenPort(l))
		c := dialMarked(t, dscp.AF21, l)
		server, err := l.AcceptConn()
		require.Len(t, events, 2)
		assert.Equal(t, "accept", events[1].Op)
		assert.Equal(t, dscp.AF21, events[1].Requested)
		if allow {
			require.NoError(t, err)
			assert.Equal(t, dscp.EF, server.DSCP())
			require.NoError(t, server.Close())
		} else {
			var me *dscp.MarkError
			require.ErrorAs(t, err, &me)
			assert.Equal(t, dscp.AF21, me.CodePoint)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "accept", op.Op)
			assert.True(t, op.Temporary(), "accept loops go on")
			assert.Equal(t, c.LocalAddr().String(), op.Addr.String())
			require.ErrorIs(t, events[1].Err, err)
			capture.Until(func(p wire.Packet) bool { return p.Has(wire.RST) && p.Src == addrPort(l.Addr()) })
		}
		dialMarked(t, dscp.EF, l)
		server, err = l.AcceptConn()
		require.NoError(t, err)
		assert.Equal(t, dscp.EF, server.DSCP())
		require.NoError(t, errors.Join(server.Close(), l.Close()))
	}
}

// TestReflectFile checks that the socket for DSCP, which File returns, still accepts
// conns of every mark after the group is closed.
func TestReflectFile(t *testing.T) {
	t.Parallel()
	l := listenFour(t, "127.0.0.1:0")
	f, err := l.File()
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	inherited, err := net.FileListener(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	defer inherited.Close() //nolint:errcheck // nothing is left to accept
	wrapped, err := (&dscp.ListenConfig{DSCP: dscp.CS2}).Wrap(inherited.(*net.TCPListener))
	require.NoError(t, err)
	for _, cp := range codePoints() {
		c, err := (&dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Timeout: 10 * time.Second}}).Dial("tcp", address)
		require.NoError(t, err, "%v", cp)
		s, err := wrapped.AcceptConn()
		require.NoError(t, err)
		assert.Equal(t, dscp.CS2, s.DSCP())
		require.NoError(t, errors.Join(c.Close(), s.Close()))
	}
}

// TestReflectControl checks that the caller's Control function runs once for each socket,
// with the address that all share, and that the options it sets are kept, except the mark.
func TestReflectControl(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.MinTTL)
	var addresses []string
	lc := four
	lc.Reflect = append([]dscp.CodePoint{dscp.DF}, lc.Reflect...)
	lc.NetListenConfig = &net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		addresses = append(addresses, network+" "+address)
		return c.Control(func(fd uintptr) {
			assert.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000))
			assert.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0x04), "the class overrides this mark")
		})
	}}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing is left to accept
	addr := "tcp4 " + l.Addr().String()
	assert.Equal(t, []string{"tcp4 127.0.0.1:0", addr, addr, addr, addr}, addresses)
	for _, cp := range codePoints() {
		dialMarked(t, cp, l)
		s, err := l.Accept()
		require.NoError(t, err)
		assert.Equal(t, answered(&lc, cp), s.(*dscp.Conn).DSCP(), "SYN %v", cp)
		require.NoError(t, s.Close())
	}
}

// TestReflectNoIPv6 listens where no interface has an IPv6 address.
func TestReflectNoIPv6(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	for _, address := range []string{":0", "127.0.0.1:0", "localhost:0"} {
		l := listenFour(t, address)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		for _, cp := range codePoints() {
			c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", net.JoinHostPort("127.0.0.1", port))
			require.NoError(t, err)
			s, err := l.Accept()
			require.NoError(t, err)
			assert.Equal(t, answered(&four, cp), s.(*dscp.Conn).DSCP())
			require.NoError(t, errors.Join(c.Close(), s.Close()))
		}
	}
	_, err := four.Listen(t.Context(), "tcp", "[::1]:0")
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
}

// A closeTally counts the outcomes of clients whose listener is closed.
type closeTally struct {
	served, reset, foreign, refused, lost atomic.Int64

	packets, foreignPackets int // sent by the server
}

func (c *closeTally) String() string {
	return fmt.Sprintf("served %d, connected and reset %d, foreign %d, refused %d, SYN lost %d; packets %d, foreign %d",
		c.served.Load(), c.reset.Load(), c.foreign.Load(), c.refused.Load(), c.lost.Load(), c.packets, c.foreignPackets)
}

// TestReflectCloseUnderLoad closes groups and plain listeners alternately while clients
// connect. A group resets about as many established connections as a plain listener, and
// serves no client in another class than its own. With tcp_migrate_req the kernel moves
// handshakes to another socket of the group; packets of such a connection have the mark
// of that socket until it is reset.
func TestReflectCloseUnderLoad(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, migrate := range []string{"0", "1"} {
		if migrate == "1" {
			if _, err := os.Stat("/proc/sys/net/ipv4/tcp_migrate_req"); err != nil {
				testns.Lacks(t, "this kernel has no tcp_migrate_req: %v", err)
			}
			testns.Current(t).Sysctl("net.ipv4.tcp_migrate_req", migrate)
		}
		plain, group := &closeTally{}, &closeTally{}
		rounds := long.N(10, 200)
		for range rounds {
			closeUnderLoad(t, &dscp.ListenConfig{DSCP: dscp.CS2}, plain)
			closeUnderLoad(t, &four, group)
		}
		t.Logf("tcp_migrate_req=%s, %d closes of each\nplain: %v\ngroup: %v", migrate, rounds, plain, group)
		assert.Zero(t, group.foreign.Load())
		if migrate == "0" {
			assert.Zero(t, group.foreignPackets)
		}
		if rounds >= 100 { // fewer are too few to compare
			assert.LessOrEqual(t, group.reset.Load(), 2*plain.reset.Load()+int64(rounds))
		}
	}
}

func closeUnderLoad(t *testing.T, lc *dscp.ListenConfig, tally *closeTally) {
	t.Helper()
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	capture := wire.Start(t, "lo", listenPort(l))
	var serving, clients sync.WaitGroup
	var accepted atomic.Int64
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // the kernel moved the conn to another class, so it was reset
			}
			accepted.Add(1)
			serving.Go(func() {
				_, _ = c.Write([]byte{byte(c.(*dscp.Conn).DSCP())})
				c.Close()
			})
		}
	})
	for i := range 16 {
		clients.Go(func() {
			cp := []dscp.CodePoint{dscp.CS2, dscp.AF21, dscp.CS1, dscp.EF}[i%4]
			d := dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Timeout: 100 * time.Millisecond}}
			for {
				c, err := d.Dial("tcp", l.Addr().String())
				switch {
				case errors.Is(err, syscall.ECONNREFUSED):
					tally.refused.Add(1)
					return
				case err != nil:
					tally.lost.Add(1)
					return
				}
				b := make([]byte, 1)
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
				if _, err := io.ReadFull(c, b); err != nil {
					tally.reset.Add(1)
				} else if tally.served.Add(1); b[0] != byte(answered(lc, cp)) {
					tally.foreign.Add(1)
				}
				_ = c.(*dscp.Conn).SetLinger(0)
				c.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return accepted.Load() >= 50 }, 20*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
	clients.Wait()
	serving.Wait()
	want := map[client]uint8{} // by the last SYN, since ports are reused
	for _, p := range capture.Stop() {
		switch {
		case p.Dst.Port() == listenPort(l) && p.Has(wire.SYN):
			want[p.Src] = uint8(answered(lc, dscp.CodePoint(p.DSCP())))
		case p.Src.Port() == listenPort(l) && !p.Ownerless() && !p.Has(wire.RST):
			tally.packets++
			if p.DSCP() != want[p.Dst] {
				tally.foreignPackets++
			}
		}
	}
}

// BenchmarkAccept compares a group of four to a listener with one socket in the same run:
// the throughput of eight clients, and the latency of one connection.
func BenchmarkAccept(b *testing.B) {
	const each = 250
	configs := []*dscp.ListenConfig{{DSCP: dscp.CS2}, &four}
	var took [2]time.Duration
	var latency [2][]time.Duration
	for b.Loop() {
		for i, lc := range configs {
			took[i] += benchAccept(b, lc, each, &latency[i])
		}
	}
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "throughput-ratio")
	median := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/2].Seconds() }
	b.ReportMetric(median(latency[1])/median(latency[0]), "latency-ratio")
	b.ReportMetric(float64(8*each*b.N)/took[0].Seconds(), "plain/s")
	b.ReportMetric(float64(8*each*b.N)/took[1].Seconds(), "group/s")
}

func benchAccept(b *testing.B, lc *dscp.ListenConfig, each int, latency *[]time.Duration) time.Duration {
	b.Helper()
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	var serving, clients sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _, _ = c.Write([]byte{1}); c.Close() })
		}
	})
	var mu sync.Mutex
	begin := time.Now()
	for i := range 8 {
		clients.Go(func() {
			d := dscp.Dialer{DSCP: []dscp.CodePoint{dscp.CS2, dscp.AF21, dscp.CS1, dscp.EF}[i%4]}
			var mine []time.Duration
			for range each {
				start := time.Now()
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = c.Read(make([]byte, 1))
				mine = append(mine, time.Since(start))
				_ = c.(*dscp.Conn).SetLinger(0)
				c.Close()
			}
			mu.Lock()
			*latency = append(*latency, mine...)
			mu.Unlock()
		})
	}
	clients.Wait()
	took := time.Since(begin)
	require.NoError(b, l.Close())
	serving.Wait()
	return took
}

// BenchmarkIdleGroup measures the memory of an idle listener with one socket and of an
// idle group of four.
func BenchmarkIdleGroup(b *testing.B) {
	const many = 50
	var held [2]uint64
	for b.Loop() {
		for i, lc := range []*dscp.ListenConfig{{DSCP: dscp.CS2}, &four} {
			before := inUse()
			var ls []net.Listener
			for range many {
				l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
				require.NoError(b, err)
				ls = append(ls, l)
			}
			held[i] += inUse() - before
			for _, l := range ls {
				require.NoError(b, l.Close())
			}
		}
	}
	b.ReportMetric(float64(held[0])/float64(many*b.N), "plain-bytes")
	b.ReportMetric(float64(held[1])/float64(many*b.N), "group-bytes")
}

// inUse returns the bytes of heap and stacks in use.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
