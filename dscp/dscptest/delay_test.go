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

// delay is much longer than a round trip on loopback.
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

		// A delay is latency and no rate limit: bytes sent at once arrive at once.
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

// TestDelayedFlowsEnd ends delayed flows in every way.
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

// policer lets a byte of payload pass every 10 µs.
func policer(s dscptest.Segment) dscptest.Verdict {
	return dscptest.DelayBy(time.Duration(s.Length) * 10 * time.Microsecond)
}

// TestDelayByPolices sends 30,000 bytes, each way, delayed by 10 µs each. They take
// 0.3 s or longer, and bytes with another mark wait behind them.
func TestDelayByPolices(t *testing.T) {
	const size, least = 30_000, 300 * time.Millisecond
	eachFamily(t, func(t *testing.T, address string) {
		for name, inside := range map[string]dscptest.Side{"upload": dscptest.Client, "download": dscptest.Server} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				box := dscptest.Config{
					Upstream: serve(t, address, echo), Inside: inside,
					Models: []dscptest.Model{policer, dscptest.Remark(dscp.AF21)}, SegmentSize: 1000,
				}.NewMiddlebox(t)
				c := dial(t, box.Addr())
				begin := time.Now()
				go func() {
					c.Write(make([]byte, size))
					c.CloseWrite()
				}()
				n, err := io.Copy(io.Discard, c)
				require.NoError(t, err)
				assert.EqualValues(t, size, n)
				assert.GreaterOrEqual(t, time.Since(begin), least)
				f := eventually(t, box, over)
				cp, ok := f.Verdict.Mark()
				assert.True(t, ok, "the harder of the two: %v", f)
				assert.Equal(t, dscp.AF21, cp)
			})
		}
		t.Run("datagrams", func(t *testing.T) {
			t.Parallel()
			box := dscptest.Config{Upstream: echoUDP(t, address, -1), Inside: dscptest.Client, Models: []dscptest.Model{policer}}.NewMiddlebox(t)
			c := dialUDP(t, box.UDPAddr())
			begin := time.Now()
			for range size / 1000 {
				_, err := c.Write(make([]byte, 1000))
				require.NoError(t, err)
			}
			for range size / 1000 {
				n, err := c.Read(make([]byte, 2000))
				require.NoError(t, err)
				assert.Equal(t, 1000, n)
			}
			assert.GreaterOrEqual(t, time.Since(begin), least)
		})
		t.Run("close", func(t *testing.T) {
			t.Parallel()
			forever := func(s dscptest.Segment) dscptest.Verdict {
				if s.Handshake {
					return dscptest.Pass
				}
				return dscptest.DelayBy(time.Hour)
			}
			box := dscptest.NewMiddlebox(t, serve(t, address, echo), forever)
			c := dial(t, box.Addr())
			_, err := c.Write([]byte("late"))
			require.NoError(t, err)
			f := eventually(t, box, judged)
			assert.Equal(t, "delayed by 1h0m0s", f.Verdict.String())
			begin := time.Now()
			require.NoError(t, box.Close())
			assert.Less(t, time.Since(begin), patience)
		})
	})
}

// TestDelayedHandshakeFailsStart starts a box with a model that delays handshakes.
func TestDelayedHandshakeFailsStart(t *testing.T) {
	t.Parallel()
	dscptest.Require(t, dscptest.BoxIPv4)
	box, err := dscptest.Start("127.0.0.1:9", func(dscptest.Segment) dscptest.Verdict { return dscptest.DelayBy(1) })
	require.ErrorContains(t, err, "delays a handshake")
	assert.Nil(t, box)
}
