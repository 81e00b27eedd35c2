package dscp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// hostile makes the kernel treat SYNs by their mark for the rest of the test:
// verdicts maps nft's name of a mark to what nft is to do with it.
func hostile(t *testing.T, verdicts map[string]string) {
	t.Helper()
	var rules strings.Builder
	for mark, verdict := range verdicts {
		for _, family := range []string{"ip", "ip6"} {
			fmt.Fprintf(&rules, "tcp flags & (syn|ack) == syn %s dscp %s %s\n", family, mark, verdict)
		}
	}
	ns := testns.Current(t)
	ns.Input("table inet hostile { chain input { type filter hook input priority 0; \n"+rules.String()+"}\n}\n", "nft", "-f", "-")
	t.Cleanup(func() { ns.Run("nft", "delete", "table", "inet", "hostile") })
}

var loopbacks = []string{"127.0.0.1:0", "[::1]:0"}

// text returns an error's text without the wildcard that net.Dialer.DialTCP
// names as the source.
func text(err error) string { return strings.ReplaceAll(err.Error(), " :0->", " ") }

// onLoopbacks runs a test over both families and both ways to dial.
func onLoopbacks(t *testing.T, test func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error))) {
	for name, dial := range dials {
		for _, address := range loopbacks {
			t.Run(name+" "+address, func(t *testing.T) {
				l := listenSaving(t, address)
				test(t, l, func(d *dscp.Dialer, ctx context.Context) (*dscp.Conn, error) {
					return dial(d, ctx, l.Addr().String())
				})
			})
		}
	}
}

// A kernel that treats SYNs by their mark, and the ladder that survives it.
func TestFallbackOnTheWire(t *testing.T) {
	t.Parallel() // it is for the most part waiting
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv6.icmp.ratelimit", "0") // "unreachable", every time
	ladder := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	// Machines stall: what takes little time may take this long, and a mark that
	// is to come up, or fail, before the next is tried has this long.
	const little, ample = 10 * time.Second, time.Second

	t.Run("a marked SYN vanishes", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop"})
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: ample}
			begin := time.Now()
			c, err := dial(&d, t.Context())
			took := time.Since(begin)
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, dscp.LowDelay, c.DSCP())
			assert.GreaterOrEqual(t, took, d.FallbackDelay)
			assert.Less(t, took, little)
			t.Logf("up after %v with a FallbackDelay of %v", took, d.FallbackDelay)

			got := accept(t, l)
			assert.Equal(t, c.LocalAddr().String(), got.RemoteAddr().String())
			mark, ok := got.PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.LowDelay, mark, "on the wire")
		})
	})
	t.Run("only unmarked SYNs come through", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "drop"})
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: 20 * time.Millisecond}
			c, err := dial(&d, t.Context())
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, dscp.DF, c.DSCP())
			mark, ok := accept(t, l).PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.DF, mark, "on the wire")
		})
	})
	t.Run("the default delay", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop"})
		d := dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder}
		begin := time.Now()
		c, err := d.DialContext(t.Context(), "tcp", listenSaving(t, "127.0.0.1:0").Addr().String())
		took := time.Since(begin)
		require.NoError(t, err)
		defer c.Close()
		assert.Greater(t, took, time.Second, "the kernel sends a SYN again after one second")
		assert.Less(t, took, little)
	})
	t.Run("no delay after a failure", func(t *testing.T) {
		for verdict, errno := range map[string]syscall.Errno{
			"reject with icmpx type host-unreachable": syscall.EHOSTUNREACH,
			"reject with icmpx type no-route":         syscall.ENETUNREACH,
			"reject with icmpx type admin-prohibited": syscall.EHOSTUNREACH, // EACCES on IPv6
		} {
			for _, address := range loopbacks {
				t.Run(verdict+" "+address, func(t *testing.T) {
					hostile(t, map[string]string{"af21": verdict})
					l := listenSaving(t, address)
					if address == loopbacks[0] {
						_, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
						require.ErrorIs(t, err, errno)
					}
					// On IPv6 Linux believes it of the second SYN only, after 1 s.
					d := dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: time.Hour}
					c, err := d.Dial("tcp", l.Addr().String())
					require.NoError(t, err)
					defer c.Close()
					assert.Equal(t, dscp.LowDelay, c.(*dscp.Conn).DSCP())
				})
			}
		}
	})
	t.Run("a prohibit route", func(t *testing.T) {
		ns := testns.Current(t)
		// A rule of ours has to come before the one of the local addresses.
		ns.Run("ip", "rule", "add", "pref", "20", "lookup", "local")
		ns.Run("ip", "rule", "delete", "pref", "0")
		ns.Run("ip", "rule", "add", "pref", "10", "tos", "0x10", "prohibit")
		l := listenSaving(t, "127.0.0.1:0")
		d := dscp.Dialer{DSCP: dscp.LowDelay}
		_, err := d.Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, syscall.EACCES)
		d.Fallback, d.FallbackDelay = []dscp.CodePoint{dscp.DF}, time.Hour
		c, err := d.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		assert.Equal(t, dscp.DF, c.(*dscp.Conn).DSCP())
		ns.Run("ip", "rule", "delete", "pref", "10")
	})
	t.Run("a refusal ends it", func(t *testing.T) {
		// The others get no answer: one whose turn comes before the refusal has
		// been noticed, on a machine that stalls, must not come up.
		hostile(t, map[string]string{"af21": "reject with tcp reset", "ef": "drop", "4": "drop", "0": "drop"})
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			_, err := dial(&dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder}, t.Context())
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			require.NotContains(t, err.Error(), "not started", "what the first rung finds out needs no list")

			// On the second rung, while the first still waits.
			d := dscp.Dialer{DSCP: dscp.EF, Fallback: []dscp.CodePoint{dscp.AF21, dscp.DF}, FallbackDelay: 250 * time.Millisecond}
			begin := time.Now()
			_, err = dial(&d, t.Context())
			took := time.Since(begin)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			require.NotErrorIs(t, err, context.Canceled, "nobody has cancelled the dial")
			ne, ok := errors.AsType[net.Error](err)
			require.True(t, ok)
			assert.False(t, ne.Timeout())
			address := l.Addr().String()
			last := "not started"
			if took >= 2*d.FallbackDelay && strings.HasSuffix(err.Error(), "given up") {
				last = "given up" // the machine stalled until it was the third's turn
			}
			require.Equal(t, "dial tcp "+address+": with DSCP EF: given up; "+
				"with DSCP AF21: dial tcp "+address+": connect: connection refused; with DSCP DF: "+last, text(err))
		})
	})
	t.Run("none comes up", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "drop", "0": "drop"})
		for name, bounded := range map[string]func() *net.Dialer{
			"Timeout":  func() *net.Dialer { return &net.Dialer{Timeout: 2 * ample} },
			"Deadline": func() *net.Dialer { return &net.Dialer{Deadline: time.Now().Add(2 * ample)} },
		} {
			t.Run(name, func(t *testing.T) {
				onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
					address := l.Addr().String()
					d := dscp.Dialer{NetDialer: bounded(), DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: time.Millisecond}
					begin := time.Now()
					_, err := dial(&d, t.Context())
					assert.Less(t, time.Since(begin), little, "it bounds the whole ladder")
					require.Error(t, err)
					require.Equal(t, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
						"with DSCP lowdelay: dial tcp "+address+": i/o timeout; "+
						"with DSCP DF: dial tcp "+address+": i/o timeout", text(err))

					ne, ok := err.(net.Error)
					require.True(t, ok)
					assert.True(t, ne.Timeout())
					race, ok := errors.AsType[*dialer.RaceError](err)
					require.True(t, ok)
					require.Len(t, race.Errs, 3)
					for i, cp := range []dscp.CodePoint{dscp.AF21, dscp.LowDelay, dscp.DF} {
						assert.True(t, strings.HasPrefix(race.Errs[i].Error(), fmt.Sprintf("with DSCP %v: ", cp)), "%v", race.Errs[i])
						_, marking := errors.AsType[*dscp.MarkError](race.Errs[i])
						assert.False(t, marking, "the mark is not the reason")
					}
				})
			})
		}
	})
	t.Run("each in its own way", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable", "0": "reject with icmpx type no-route"})
		l := listenSaving(t, "127.0.0.1:0")
		address := l.Addr().String()
		d := dscp.Dialer{NetDialer: &net.Dialer{Timeout: 2 * ample}, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: time.Millisecond}
		_, err := d.Dial("tcp", address)
		require.EqualError(t, err, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
			"with DSCP lowdelay: dial tcp "+address+": connect: no route to host; "+
			"with DSCP DF: dial tcp "+address+": connect: network is unreachable")
		require.ErrorIs(t, err, syscall.EHOSTUNREACH)
		require.ErrorIs(t, err, syscall.ENETUNREACH)
	})
	t.Run("a timeout before the delay", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop"})
		l := listenSaving(t, "127.0.0.1:0")
		d := dscp.Dialer{NetDialer: &net.Dialer{Timeout: 50 * time.Millisecond}, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: time.Hour}
		_, err := d.Dial("tcp", l.Addr().String())
		address := l.Addr().String()
		require.EqualError(t, err, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
			"with DSCP lowdelay: not started; with DSCP DF: not started")
	})
	t.Run("a fixed local port", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "drop"})
		for _, address := range loopbacks {
			l := listenSaving(t, address)
			free := listenSaving(t, address)
			require.NoError(t, free.Close())
			local := free.Addr().(*net.TCPAddr)

			d := dscp.Dialer{NetDialer: &net.Dialer{LocalAddr: local}, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: 50 * time.Millisecond}
			c, err := d.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			assert.Equal(t, dscp.DF, c.(*dscp.Conn).DSCP())
			assert.Equal(t, local.String(), c.LocalAddr().String())
			require.NoError(t, c.(*dscp.Conn).SetLinger(0)) // frees the port
			require.NoError(t, c.Close())

			d.NetDialer = nil
			tc, err := d.DialTCP(t.Context(), "tcp", local.AddrPort(), netip.MustParseAddrPort(l.Addr().String()))
			require.NoError(t, err)
			assert.Equal(t, dscp.DF, tc.DSCP())
			require.NoError(t, tc.Close())
		}
	})
	t.Run("a name with many addresses", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop"})
		name := serveNames(t, 0, "127.0.0.2", "127.0.0.3", "::1", "127.0.0.1")
		for _, address := range loopbacks {
			t.Run(address, func(t *testing.T) {
				// Of the addresses one has a listener; the others refuse.
				l := listenSaving(t, address)
				_, port, err := net.SplitHostPort(l.Addr().String())
				require.NoError(t, err)
				d := dscp.Dialer{NetDialer: &net.Dialer{Resolver: name}, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: ample}
				c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("many.example", port))
				require.NoError(t, err)
				defer c.Close()
				assert.Equal(t, dscp.LowDelay, c.(*dscp.Conn).DSCP())
				assert.Equal(t, l.Addr().String(), c.RemoteAddr().String())
			})
		}
		t.Run("no such name", func(t *testing.T) {
			d := dscp.Dialer{NetDialer: &net.Dialer{Resolver: name}, DSCP: dscp.AF21}
			_, want := d.Dial("tcp", "none.example:22")
			require.ErrorContains(t, want, "no such host")
			d.Fallback = ladder
			_, err := d.Dial("tcp", "none.example:22")
			require.EqualError(t, err, want.Error())
		})
	})
	t.Run("a slow name server", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		nd, sockets := countSockets()
		nd.Resolver = serveNames(t, ample+200*time.Millisecond, "127.0.0.1")
		d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: ample}
		address := net.JoinHostPort("many.example", port)
		c, err := d.Dial("tcp", address)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		assert.Equal(t, dscp.AF21, c.(*dscp.Conn).DSCP(), "the lookup is not the mark's fault")
		assert.EqualValues(t, 1, sockets.Load())

		t.Run("and a lost mark", func(t *testing.T) {
			hostile(t, map[string]string{"af21": "drop", "4": "drop"})
			events := make(chan dscp.Event, 3)
			d.Trace = func(e dscp.Event) { events <- e }
			begin := time.Now()
			c, err := d.Dial("tcp", address)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, time.Since(begin), 3*ample+2*d.FallbackDelay, "each mark has its delay after its lookup")
			require.NoError(t, c.Close())
			assert.Equal(t, dscp.DF, c.(*dscp.Conn).DSCP())
			for range 3 {
				e := <-events
				assert.Equal(t, map[dscp.CodePoint]string{dscp.AF21: "first", dscp.LowDelay: "delay", dscp.DF: "delay"}[e.Requested], e.Why)
			}
		})
		t.Run("slow but once", func(t *testing.T) {
			hostile(t, map[string]string{"af21": "drop"})
			var mu sync.Mutex
			var made []time.Time
			nd := &net.Dialer{
				Resolver: serveNamesIn(t, func(n int) time.Duration {
					if n < 2 {
						return ample - 20*time.Millisecond
					}
					return 0
				}, "127.0.0.1"),
				Control: func(string, string, syscall.RawConn) error {
					mu.Lock()
					defer mu.Unlock()
					made = append(made, time.Now())
					return nil
				},
			}
			d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: ample}
			c, err := d.Dial("tcp", address)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, made, 2)
			assert.GreaterOrEqual(t, made[1].Sub(made[0]), d.FallbackDelay-10*time.Millisecond, "the first has its delay from its own lookup on")
		})
		t.Run("and a fixed local port", func(t *testing.T) {
			free := listenSaving(t, "127.0.0.1:0")
			require.NoError(t, free.Close())
			d := dscp.Dialer{
				NetDialer: &net.Dialer{LocalAddr: free.Addr(), Resolver: serveNames(t, ample+200*time.Millisecond, "127.0.0.1")},
				DSCP:      dscp.AF21, Fallback: ladder, FallbackDelay: ample,
			}
			c, err := d.Dial("tcp4", address)
			require.NoError(t, err)
			assert.Equal(t, dscp.AF21, c.(*dscp.Conn).DSCP())
			require.NoError(t, c.Close())
		})
		t.Run("and no time", func(t *testing.T) {
			sockets.Store(0)
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			_, err := d.DialContext(ctx, "tcp", address)
			ne, ok := errors.AsType[net.Error](err)
			require.True(t, ok)
			assert.True(t, ne.Timeout(), "%v", err)
			assert.Zero(t, sockets.Load())
		})
	})
	t.Run("remembered", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			var memory dscp.Memory
			up := func(delay time.Duration) (mark dscp.CodePoint, sockets int32) {
				nd, made := countSockets()
				d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: delay, Memory: &memory}
				c, err := dial(&d, t.Context())
				require.NoError(t, err)
				require.NoError(t, c.Close())
				return c.DSCP(), made.Load()
			}
			mark, sockets := up(time.Hour)
			assert.Equal(t, dscp.AF21, mark)
			assert.EqualValues(t, 1, sockets)
			assert.Empty(t, memory.Entries(), "nothing to remember")

			t.Run("what is lost", func(t *testing.T) {
				hostile(t, map[string]string{"af21": "drop", "4": "drop"})
				mark, _ := up(20 * time.Millisecond)
				assert.Equal(t, dscp.DF, mark)
				require.Len(t, memory.Entries(), 1)
				e := memory.Entries()[0]
				assert.Equal(t, "tcp "+l.Addr().String()+" AF21 DF", strings.Join([]string{e.Network, e.Address, e.DSCP.String(), e.Works.String()}, " "))

				mark, sockets := up(time.Hour)
				assert.Equal(t, dscp.DF, mark)
				assert.EqualValues(t, 1, sockets, "the next dial starts with what came up")
				assert.Equal(t, e, memory.Entries()[0], "and does not prolong it")
			})
			t.Run("and its reverse", func(t *testing.T) {
				hostile(t, map[string]string{"0": "drop"})
				mark, sockets := up(ample)
				assert.Equal(t, dscp.AF21, mark)
				assert.EqualValues(t, 2, sockets)
				assert.Empty(t, memory.Entries(), "the first mark comes up again")
			})
		})
	})
	t.Run("traced", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable"})
		l := listenSaving(t, "127.0.0.1:0")
		events := make(chan dscp.Event, 10)
		d := dscp.Dialer{
			DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: ample,
			Memory: new(dscp.Memory), Trace: func(e dscp.Event) { events <- e },
		}
		c, err := d.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		got := map[dscp.CodePoint]dscp.Event{}
		for range 3 {
			e := <-events
			got[e.Requested] = e
			assert.Equal(t, "dial tcp "+l.Addr().String(), e.Op+" "+e.Network+" "+e.Address)
		}
		lost, unreachable, won := got[dscp.AF21], got[dscp.LowDelay], got[dscp.DF]
		assert.Equal(t, "first", lost.Why)
		assert.Equal(t, 0, lost.Rung)
		require.ErrorIs(t, lost.Err, context.Canceled)
		assert.GreaterOrEqual(t, lost.Duration, d.FallbackDelay)
		assert.Equal(t, "delay", unreachable.Why)
		assert.Equal(t, 1, unreachable.Rung)
		require.ErrorIs(t, unreachable.Err, syscall.EHOSTUNREACH)
		assert.Equal(t, "failure", won.Why)
		assert.Equal(t, 2, won.Rung)
		require.NoError(t, won.Err)
		assert.Equal(t, c.LocalAddr(), won.Local)
		assert.Equal(t, dscp.DF, won.Effective)

		c, err = d.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		again := <-events
		assert.Equal(t, "remembered", again.Why)
		assert.Equal(t, 2, again.Rung)
		assert.Empty(t, events)
	})
	t.Run("cancelled at any moment", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable"})
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			go func() { // or the backlog fills
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: ladder, FallbackDelay: 2 * time.Millisecond}
			before := leftovers(t)
			came, cancelled := 0, 0
			for i := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
				c, err := dial(&d, ctx)
				cancel()
				if err == nil {
					came++
					require.NoError(t, c.Close())
					continue
				}
				cancelled++
				ne, ok := err.(net.Error)
				require.True(t, ok)
				require.True(t, ne.Timeout(), "%v", err)
			}
			t.Logf("%d came up, %d were cancelled", came, cancelled)
			assert.NotZero(t, cancelled)
			requireNothingLeft(t, before)
		})
	})
}
