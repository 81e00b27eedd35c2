package dscptest_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestStartRejectsBadConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config dscptest.Config
		want   string
	}{
		{"no upstream", dscptest.Config{}, "Config.Upstream is empty"},
		{"no port", dscptest.Config{Upstream: "127.0.0.1"}, `upstream "127.0.0.1"`},
		{"port 0", dscptest.Config{Upstream: "127.0.0.1:0"}, "host and port are needed"},
		{"no host", dscptest.Config{Upstream: ":22"}, "host and port are needed"},
		{"unresolvable", dscptest.Config{Upstream: "nowhere.invalid:22"}, `upstream "nowhere.invalid:22"`},
		{"side", dscptest.Config{Upstream: "127.0.0.1:22", Inside: 7}, "Config.Inside is 7"},
		{"URL", dscptest.Config{Upstream: "http://127.0.0.1:80"}, `upstream "http://127.0.0.1:80": want host:port, not a URL`},
		{"segment size", dscptest.Config{Upstream: "127.0.0.1:22", SegmentSize: -1}, "Config.SegmentSize is negative"},
		{"delay", dscptest.Config{Upstream: "127.0.0.1:22", Delay: -1}, "Config.Delay is negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			box, err := tt.config.Start()
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, box)
		})
	}
}

// TestStartFailsIfModelPanics starts a box with a model that panics for a SYN.
func TestStartFailsIfModelPanics(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		box, err := dscptest.Start(serve(t, address, echo), func(dscptest.Segment) dscptest.Verdict { panic("at once") })
		require.ErrorContains(t, err, "panicked: at once")
		assert.Nil(t, box)
	})
}

// TestCloseEndsFlows closes the box in every state that a flow can be in. TestMain checks
// that nothing is left.
func TestCloseEndsFlows(t *testing.T) {
	states := []struct {
		name string
		run  func(c *net.TCPConn)
	}{
		{"fresh", func(*net.TCPConn) {}},
		{"idle", func(c *net.TCPConn) { ask(c, "hello") }},
		{"half closed", func(c *net.TCPConn) { ask(c, "hello"); c.CloseWrite() }},
		{"busy", func(c *net.TCPConn) {
			go io.Copy(c, rand.NewChaCha8([32]byte{}))
			io.CopyN(io.Discard, c, 1<<20)
		}},
		{"stuck", func(c *net.TCPConn) { // it does not read the echo
			c.SetWriteDeadline(time.Now().Add(silence))
			io.Copy(c, rand.NewChaCha8([32]byte{}))
		}},
		{"changed", func(c *net.TCPConn) { ask(c, "hello"); mark(c, dscp.EF); c.Write([]byte("?")) }},
	}
	models := []dscptest.Model{nil, dscptest.VMware, dscptest.FlowKey}
	eachFamily(t, func(t *testing.T, address string) {
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				for _, m := range models {
					box := dscptest.NewMiddlebox(t, serve(t, address, echo), m)
					c := dial(t, box.Addr())
					s.run(c)
					require.NoError(t, box.Close())
					require.NoError(t, box.Close(), "a second Close")
					flows := box.Flows()
					for _, f := range flows {
						assert.True(t, f.Over)
						assert.NoError(t, f.Err)
					}
					// A dial could reach the box of another test, so bind instead.
					if l, err := net.Listen("tcp", box.Addr()); err == nil {
						assert.NoError(t, l.Close())
					} else { // it has been given the port
						assert.ErrorIs(t, err, errInUse)
					}
				}
			})
		}
	})
}

// TestCloseWhileDialling closes a box whose upstream does not answer.
func TestCloseWhileDialling(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		silent := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.DropMarked())
		box := dscptest.NewMiddlebox(t, silent.Addr())
		dialMarked(t, box.Addr(), dscp.EF)
		eventually(t, box, func(f dscptest.Flow) bool { return f.SYN == dscp.EF })
		require.NoError(t, box.Close())
		f := eventually(t, box, over)
		assert.NoError(t, f.Err, "Close is not an error of the flow")
		assert.False(t, f.Answered)
	})
}

// TestChainedBoxes chains a box that bleaches and one that resets. The second sees no
// change, so it does not reset. The mark of a server must be the same through any number
// of boxes.
func TestChainedBoxes(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		vmware := dscptest.NewMiddlebox(t, serveMarked(t, address, dscp.AF41, echo), dscptest.VMware, dscptest.FlowKey)
		between := dscptest.NewMiddlebox(t, vmware.Addr(), dscptest.FlowKey)
		bleach := dscptest.Config{
			Upstream: between.Addr(), Models: []dscptest.Model{dscptest.Bleach}, Inside: dscptest.Client,
		}.NewMiddlebox(t)
		front := dscptest.NewMiddlebox(t, bleach.Addr(), dscptest.OneMark)

		c := dial(t, bleach.Addr())
		for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.EF} {
			require.NoError(t, mark(c, cp))
			require.NoError(t, ask(c, "still here"))
		}
		require.NoError(t, ask(dialMarked(t, front.Addr(), dscp.EF), "hello"))
		for _, box := range []*dscptest.Middlebox{vmware, between} {
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				assert.Equal(t, dscp.AF41, f.SYNACK)
			}
		}
	})
}

// TestSYNMarkReachesServer reads the mark of the SYN at the server.
func TestSYNMarkReachesServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		lc := dscp.ListenConfig{}
		l, err := lc.Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		defer l.Close()
		box := dscptest.NewMiddlebox(t, l.Addr().String())
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		c := dialMarked(t, box.Addr(), dscp.AF21)
		s := <-accepted
		require.NotNil(t, s)
		defer s.Close()
		defer c.Close()
		cp, ok := s.(*dscp.Conn).PeerDSCP()
		assert.True(t, ok)
		assert.Equal(t, dscp.AF21, cp)
	})
}

// TestWaitReturnsMatchingFlow waits for a flow that is there, one that begins later, and
// one that changes.
func TestWaitReturnsMatchingFlow(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.VMware)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		waiting := make(chan struct{})
		var once sync.Once
		found := make(chan dscptest.Flow, 1)
		go func() {
			f, err := box.Wait(ctx, func(f dscptest.Flow) bool {
				once.Do(func() { close(waiting) })
				return f.Verdict == dscptest.Reset && f.Over
			})
			assert.NoError(t, err)
			found <- f
		}()
		good := dialMarked(t, box.Addr(), dscp.EF)
		require.NoError(t, ask(good, "hello"))
		<-waiting // it has seen a flow that does not match
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "hello"))
		require.NoError(t, mark(c, dscp.AF21))
		ask(c, "again")
		f := <-found
		assert.Equal(t, 2, f.ID)

		f, err := box.Wait(ctx, func(f dscptest.Flow) bool { return f.SYN == dscp.EF })
		require.NoError(t, err, "a flow that is there")
		assert.Equal(t, 1, f.ID)

		u := dialUDP(t, box.UDPAddr())
		_, err = u.Write([]byte("datagram"))
		require.NoError(t, err)
		f, err = box.Wait(ctx, func(f dscptest.Flow) bool { return strings.HasPrefix(f.Network, "udp") && f.ClientBytes == 8 })
		require.NoError(t, err)
		assert.Equal(t, u.LocalAddr().String(), f.Client.String())
	})
}

// TestWaitFailsWithoutFlow ends a wait by its context, and by Close.
func TestWaitFailsWithoutFlow(t *testing.T) {
	never := func(dscptest.Flow) bool { return false }
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := box.Wait(ctx, never)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "there was none")

		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "hello"))
		ended := make(chan error, 1)
		go func() {
			_, err := box.Wait(context.Background(), never)
			ended <- err
		}()
		require.NoError(t, box.Close())
		err = <-ended
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, c.LocalAddr().String())
	})
}
