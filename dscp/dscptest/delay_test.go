package dscptest_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// delay is long against what loopback takes.
const delay = 60 * time.Millisecond

func startDelayed(t testing.TB, upstream string, models ...dscptest.Model) *dscptest.Middlebox {
	t.Helper()
	return dscptest.Config{Upstream: upstream, Models: models, Delay: delay}.NewMiddlebox(t)
}

func TestDelayIsLatency(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := startDelayed(t, serve(t, address, echo))
		c := dial(t, box.Addr())
		begin := time.Now()
		require.NoError(t, ask(c, "there and back"))
		assert.GreaterOrEqual(t, time.Since(begin), 2*delay)

		// It is latency, not a brake: what follows at once comes at once.
		text := bytes.Repeat([]byte("0123456789"), 1<<17)
		begin = time.Now()
		go func() {
			c.Write(text)
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(text, got))
		assert.GreaterOrEqual(t, time.Since(begin), 2*delay)
		assert.Less(t, time.Since(begin), patience)
		eventually(t, box, over)
	})
}

func TestDelayUDP(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := startDelayed(t, echoUDP(t, address, -1))
		c := dialUDP(t, box.UDPAddr())
		begin := time.Now()
		require.NoError(t, ask(c, "there and back"))
		assert.GreaterOrEqual(t, time.Since(begin), 2*delay)
	})
}

// TestDelayedFlowsEnd has delayed flows end in every way.
func TestDelayedFlowsEnd(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("reset", func(t *testing.T) {
			t.Parallel()
			box := startDelayed(t, serve(t, address, echo), dscptest.VMware)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "before"))
			require.NoError(t, mark(c, dscp.EF))
			err := ask(c, "after")
			assert.True(t, broken(c, err), "%v", err)
			eventually(t, box, over)
		})
		t.Run("client gone", func(t *testing.T) {
			t.Parallel()
			box := startDelayed(t, serve(t, address, echo))
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "before"))
			c.Write([]byte("an answer nobody takes"))
			c.SetLinger(0)
			c.Close()
			eventually(t, box, over)
		})
		t.Run("server gone", func(t *testing.T) {
			t.Parallel()
			box := startDelayed(t, serve(t, address, func(c net.Conn) {
				c.Read(make([]byte, 1))
				c.(*net.TCPConn).SetLinger(0)
			}))
			c := dial(t, box.Addr())
			err := ask(c, "?")
			assert.True(t, broken(c, err), "%v", err)
			eventually(t, box, over)
		})
		t.Run("box closed", func(t *testing.T) {
			t.Parallel()
			box := startDelayed(t, serve(t, address, echo))
			c := dial(t, box.Addr())
			c.Write([]byte("under way"))
			require.NoError(t, box.Close())
		})
	})
}
