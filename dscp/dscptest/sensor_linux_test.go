package dscptest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// everySegment starts a box that reads every segment off the wire.
func everySegment(t *testing.T, upstream string, models ...dscptest.Model) *dscptest.Middlebox {
	t.Helper()
	return dscptest.Config{Upstream: upstream, Models: models, Sensor: dscptest.WireEvery}.NewMiddlebox(t)
}

// TestWireEverySeesEachChange changes a mark for one segment and restores it at once. The
// box records both changes, with exact offsets.
func TestWireEverySeesEachChange(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, echo))
			c := dialMarked(t, box.Addr(), dscp.AF21)
			for range 100 {
				for _, cp := range []dscp.CodePoint{dscp.EF, dscp.AF21} {
					require.NoError(t, mark(c, cp))
					require.NoError(t, ask(c, "0123456789")) // waits for the answer, so that the kernel does not join segments
				}
			}
			require.NoError(t, c.CloseWrite())
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			f := eventually(t, box, over)
			require.Len(t, f.Changes, 200)
			for i, ch := range f.Changes {
				assert.True(t, ch.Exact())
				assert.EqualValues(t, 10*i, ch.Offset, "%v", ch)
			}
		})
	}
}

// TestChangeBeforeClientCloses has a client change its mark, send once and close at once.
// Its socket is gone before a sensor can look at it.
func TestChangeBeforeClientCloses(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			got := make(chan string, 100)
			box := everySegment(t, serve(t, family.address, func(c net.Conn) {
				b, _ := io.ReadAll(c)
				got <- string(b)
			}), dscptest.VMware)
			for range 100 {
				c := dial(t, box.Addr())
				require.NoError(t, mark(c, dscp.AF21))
				_, err := c.Write([]byte("bye"))
				require.NoError(t, err)
				require.NoError(t, c.Close())
				assert.Empty(t, <-got)
			}
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Reset, f.Verdict, "%v", f)
				assert.Equal(t, "client→server: DF → AF21 at byte 0", f.Changes[0].String())
			}
		})
	}
}

// TestResetOfClosedSocketIsNotBlamed has a server close while a marked client writes. The
// kernel's reset for a connection that is gone has the client's mark, which is no change
// of the server's mark.
func TestResetOfClosedSocketIsNotBlamed(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, func(c net.Conn) {
				io.ReadFull(c, make([]byte, 5))
			}), dscptest.VMware)
			for range 50 {
				c := dialMarked(t, box.Addr(), dscp.EF)
				for range 20 {
					if _, err := c.Write([]byte("hello")); err != nil {
						break
					}
				}
				io.Copy(io.Discard, c)
				c.Close()
			}
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
			}
		})
	}
}

// TestRemoteServerIsJudged has a server in another network namespace change its mark.
func TestRemoteServerIsJudged(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for i, server := range remoteServer(t, dscp.CS1) {
		t.Run(families[i].name, func(t *testing.T) {
			box := everySegment(t, server, dscptest.VMware)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "x"))
			err := ask(c, "x")
			assert.True(t, broken(c, err), "%v", err)
			assert.Equal(t, "VMware: the server's mark went from DF to CS1", box.Flows()[0].Reason)
		})
	}
}

// TestProbesAreReleased checks that a flow that is over is no longer in the capture.
func TestProbesAreReleased(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, echo))
			for range 10 {
				c := dial(t, box.Addr())
				require.NoError(t, ask(c, "x"))
				require.NoError(t, c.Close())
			}
			require.Eventually(t, func() bool {
				flows := box.Flows()
				return len(flows) == 10 && !slices.ContainsFunc(flows, func(f dscptest.Flow) bool { return !f.Over })
			}, patience, time.Millisecond)
			assert.Zero(t, dscptest.CapturedFlows(box))
		})
	}
}

// TestOthersUseUpstream has other clients use the upstream, but not the box, for a while.
func TestOthersUseUpstream(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			upstream := serve(t, family.address, echo)
			b, err := dscptest.Config{Upstream: upstream, Sensor: dscptest.WireEvery}.Start()
			require.NoError(t, err)
			defer b.Close()
			chat(t, upstream, 20000)
			chat(t, b.Addr(), 10)
			for _, f := range b.Flows() {
				assert.NoError(t, f.Err)
			}
			require.NoError(t, b.Close())
		})
	}
}

// TestFullRingLosesNoFlow has a client connect while a ring is full of other clients'
// segments, so that its SYN may be lost. The flow works, and the box sees its changes and
// misses nothing of it.
func TestFullRingLosesNoFlow(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		for _, tt := range []struct {
			full  string
			fill  func(t *testing.T, upstream, box string)
			early int // bytes that the client sends at once
		}{
			{"clients", func(t *testing.T, _, box string) { strays(t, box, kernel.RingFrames) }, 0},
			{"upstream", func(t *testing.T, upstream, _ string) { chat(t, upstream, kernel.RingFrames) }, 1},
		} {
			t.Run(family.name+"/"+tt.full, func(t *testing.T) {
				upstream := serve(t, family.address, echo)
				b, err := dscptest.Config{Upstream: upstream, Sensor: dscptest.WireEvery}.Start()
				require.NoError(t, err)
				defer b.Close()
				release := dscptest.HoldCapture(b) // the rings fill up
				tt.fill(t, upstream, b.Addr())
				c, err := (&net.Dialer{Control: dscp.Control(dscp.AF21)}).Dial("tcp", b.Addr())
				if err == nil {
					_, err = c.Write(make([]byte, tt.early))
				}
				release()
				require.NoError(t, err)
				defer c.Close()
				_, err = io.ReadFull(c, make([]byte, tt.early))
				require.NoError(t, err)
				require.Eventually(t, func() bool { // the flow has begun
					f := b.Flows()
					return len(f) == 1 && f[0].Answered
				}, 10*time.Second, time.Millisecond)
				require.NoError(t, ask(c, "x"))
				require.NoError(t, ask(c, "x"))
				require.NoError(t, mark(c, dscp.EF))
				require.NoError(t, ask(c, "x"))
				require.NoError(t, c.Close())
				require.Eventually(t, func() bool { return b.Flows()[0].Over }, 10*time.Second, time.Millisecond)
				f := b.Flows()[0]
				require.NoError(t, f.Err)
				assert.Equal(t, dscp.AF21, f.SYN)
				require.Len(t, f.Changes, 1, "%v", f)
				assert.Equal(t, fmt.Sprint("client→server: AF21 → EF at byte ", tt.early+2), f.Changes[0].String())
				require.NoError(t, b.Close())
			})
		}
	}
}

// chat connects to an echo server and exchanges single bytes.
func chat(t *testing.T, address string, times int) {
	t.Helper()
	c := dial(t, address)
	defer c.Close()
	for range times {
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		require.NoError(t, ask(c, "x"))
	}
}

// strays sends segments of no connection to a box.
func strays(t *testing.T, box string, times int) {
	t.Helper()
	to := netip.MustParseAddrPort(box)
	c, err := net.Dial("ip:tcp", to.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	b := make([]byte, 20) // the checksum is wrong, so the kernel does not answer
	b[2], b[3], b[12], b[13] = byte(to.Port()>>8), byte(to.Port()), 5<<4, 0x10
	for range times {
		_, err = c.Write(b)
		require.NoError(t, err)
	}
}

// TestRestoredOptionIsNotBlamed sets and restores the option of an IPv4 connection,
// between sends, while the box samples it. The box must not take the short-lived value
// for a change. (On IPv6 the box reads what was sent, acknowledgements included.)
func TestRestoredOptionIsNotBlamed(t *testing.T) {
	t.Parallel()
	// The box samples a hundred times, which takes longer than this.
	const moment = 25 * time.Millisecond
	for range 3 {
		f, longest := putBack(t)
		if !f.Changed() {
			return
		}
		require.Greater(t, longest, moment, "the box took an option that was restored at once for a change: %v", f)
	}
	t.Errorf("3 runs: a foreign mark stayed longer than %v; the machine is too busy to judge", moment)
}

// putBack returns what the box has recorded, and the longest time for which a foreign
// mark was set.
func putBack(t *testing.T) (f dscptest.Flow, longest time.Duration) {
	t.Helper()
	box := dscptest.Config{
		Upstream: serve(t, "127.0.0.1:0", echo),
		Models:   []dscptest.Model{dscptest.VMware},
		Sensor:   dscptest.SocketOption,
	}.NewMiddlebox(t)
	c := dialMarked(t, box.Addr(), dscp.AF21)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	setAndPutBack := func(fd uintptr) { // as the guard of a Conn does
		begin := time.Now()
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.CS1.TOS()))
		for set := time.Now(); time.Since(set) < 20*time.Microsecond; { // long enough to be seen
		}
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.AF21.TOS()))
		longest = max(longest, time.Since(begin))
	}
	var turn sync.Mutex // held to send, and while a foreign mark is set
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	defer end()
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Microsecond): // otherwise a foreign mark is set half of the time
			}
			turn.Lock()
			raw.Control(setAndPutBack)
			turn.Unlock()
		}
	})
	for n := 0; n < 2000 && err == nil; n++ {
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		turn.Lock()
		_, err = c.Write([]byte("x")) // so that the box samples
		turn.Unlock()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	end()
	f = eventually(t, box, func(dscptest.Flow) bool { return true })
	if !f.Changed() {
		require.NoError(t, err)
	}
	return f, longest
}

// bindToLoopback is a Control function that binds a socket to the loopback interface, as
// programs on hosts with several routing tables do.
func bindToLoopback(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") }); cerr != nil {
		return cerr
	}
	return err
}

// TestSocketsBoundToDevice binds the sockets at both ends to an interface. sock_diag finds
// them only if the question names it.
func TestSocketsBoundToDevice(t *testing.T) {
	for address, sensor := range map[string]dscptest.Sensor{
		"127.0.0.1:0": dscptest.SocketOption,
		"[::1]:0":     dscptest.WireLatest,
	} {
		for _, inside := range []dscptest.Side{dscptest.Client, dscptest.Server} {
			t.Run(string(sensor)+"/"+inside.String(), func(t *testing.T) {
				lc := dscp.ListenConfig{DSCP: dscp.EF, NetListenConfig: &net.ListenConfig{Control: bindToLoopback}}
				l, err := lc.Listen(context.Background(), "tcp", address)
				require.NoError(t, err)
				t.Cleanup(func() { l.Close() })
				box := dscptest.Config{
					Upstream: l.Addr().String(), Models: []dscptest.Model{dscptest.VMware},
					Inside: inside, Sensor: sensor,
				}.NewMiddlebox(t)

				d := net.Dialer{Control: bindToLoopback}
				client, err := d.Dial("tcp", box.Addr())
				require.NoError(t, err)
				t.Cleanup(func() { client.Close() })
				server, err := l.Accept()
				require.NoError(t, err)
				go func() {
					defer server.Close()
					echo(server)
				}()
				require.NoError(t, ask(client, "before"))
				f := box.Flows()[0]
				assert.True(t, f.Answered)
				assert.Equal(t, dscp.EF, f.SYNACK)

				changes := client
				if inside == dscptest.Server {
					changes = server.(*dscp.Conn).TCPConn
				}
				require.NoError(t, mark(changes, dscp.CS1))
				err = ask(client, "after")
				require.Error(t, err)
				assert.True(t, broken(client, err), "%v", err)
				assert.Equal(t, dscptest.Reset, eventually(t, box, over).Verdict)
			})
		}
	}
}

// TestChangeBeforeReset has a client, or a server, change its mark, send once or not at
// all, and reset the connection at once. [dscptest.WireLatest] does not show a change
// that only the reset has.
func TestChangeBeforeReset(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		for _, how := range []struct {
			sensor dscptest.Sensor
			bye    string
		}{{dscptest.WireEvery, "bye"}, {dscptest.WireEvery, ""}, {dscptest.WireLatest, "bye"}} {
			if how.sensor == dscptest.WireLatest && family.name == "IPv4" {
				continue
			}
			for _, side := range []dscptest.Side{dscptest.Client, dscptest.Server} {
				t.Run(fmt.Sprintf("%s/%v/%q/%v", family.name, how.sensor, how.bye, side), func(t *testing.T) {
					servers := make(chan net.Conn)
					hold := make(chan struct{})
					defer close(hold)
					box := dscptest.Config{Upstream: serve(t, family.address, func(c net.Conn) {
						servers <- c
						<-hold
					}), Sensor: how.sensor}.NewMiddlebox(t)
					missed := 0
					flows := long.N(50, 1000)
					for i := range flows {
						client := dialMarked(t, box.Addr(), dscp.DF)
						server := <-servers
						_, err := client.Write([]byte("hello"))
						require.NoError(t, err)
						_, err = io.ReadFull(server, make([]byte, 5))
						require.NoError(t, err)
						changes := client
						if side == dscptest.Server {
							changes = server.(*net.TCPConn)
						}
						require.NoError(t, mark(changes, dscp.EF))
						_, err = changes.Write([]byte(how.bye))
						require.NoError(t, err)
						require.NoError(t, changes.SetLinger(0))
						require.NoError(t, changes.Close())
						if side == dscptest.Server {
							client.Close()
						} else {
							server.Close()
						}
						require.Eventually(t, func() bool { return box.Flows()[i].Over || box.Flows()[i].Changed() }, patience, time.Millisecond)
						if !box.Flows()[i].Changed() {
							missed++
						}
					}
					assert.Zero(t, missed, "of %d", flows)
				})
			}
		}
	}
}

// TestPortOfLostResetIsNotBlamed drops the reset of a client. Then another program uses
// the client's port for a connection to the same box, with another mark. The socket with
// these addresses is another than before.
func TestPortOfLostResetIsNotBlamed(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Require(t, "nft")
	here := testns.Current(t)
	here.Input("table inet lost { chain input { type filter hook input priority 0; tcp flags & rst == rst drop; }; }", "nft", "-f", "-")
	for _, s := range sensors {
		t.Run(fmt.Sprintf("%v/%s", s.sensor, s.address), func(t *testing.T) {
			r := &recorder{TB: t}
			box := dscptest.Config{Upstream: serve(t, s.address, echo), Models: []dscptest.Model{dscptest.OneMark}, Sensor: s.sensor}.NewMiddlebox(r)
			first := dialMarked(t, box.Addr(), dscp.AF21)
			require.NoError(t, ask(first, "hello"))
			local := first.LocalAddr()
			require.NoError(t, first.SetLinger(0))
			require.NoError(t, first.Close())
			ctx, cancel := context.WithCancel(t.Context())
			var dialing sync.WaitGroup
			capture := wire.Start(t, "lo", ports(box.Addr())...)
			dialing.Go(func() {
				d := net.Dialer{LocalAddr: local, Control: dscp.Control(dscp.EF)}
				if c, err := d.DialContext(ctx, "tcp", box.Addr()); err == nil {
					c.Close()
				}
			})
			capture.Until(func(p wire.Packet) bool { return p.Has(wire.SYN) && p.DSCP() == uint8(dscp.EF) })
			r.finish()
			assert.Empty(t, r.errors)
			cancel()
			dialing.Wait()
		})
	}
}
