package dscp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/testns"
)

// hostileTables makes the names of nft's tables unique.
var hostileTables atomic.Int32

// hostile makes the kernel treat SYNs by their mark for the rest of the test: verdicts
// maps nft's name of a mark to nft's verdict. With a listener, only SYNs to its port are
// affected.
func hostile(t *testing.T, verdicts map[string]string, to ...net.Listener) {
	t.Helper()
	families, port := []string{"ip", "ip6"}, ""
	if len(to) > 0 {
		local := to[0].Addr().(*net.TCPAddr)
		families, port = families[:1], fmt.Sprint("tcp dport ", local.Port, " ")
		if local.IP.To4() == nil {
			families = []string{"ip6"}
		}
	}
	var rules strings.Builder
	for mark, verdict := range verdicts {
		for _, family := range families {
			fmt.Fprintf(&rules, "tcp flags & (syn|ack) == syn %s%s dscp %s %s\n", port, family, mark, verdict)
		}
	}
	ns := testns.Current(t)
	table := fmt.Sprint("hostile", hostileTables.Add(1))
	ns.Input("table inet "+table+" { chain input { type filter hook input priority 0; \n"+rules.String()+"}\n}\n", "nft", "-f", "-")
	t.Cleanup(func() { ns.Run("nft", "delete", "table", "inet", table) })
}

// atOnce runs subtests concurrently, without the limit of -parallel, because they mostly
// wait. wait returns when all have ended.
func atOnce(t *testing.T) (run func(name string, test func(*testing.T)), wait func()) {
	var running sync.WaitGroup
	return func(name string, test func(*testing.T)) {
		running.Go(func() { t.Run(name, test) })
	}, running.Wait
}

var loopbacks = []string{"127.0.0.1:0", "[::1]:0"}

// text returns an error's text without the wildcard source address that
// net.Dialer.DialTCP adds.
func text(err error) string { return strings.ReplaceAll(err.Error(), " :0->", " ") }

// onLoopbacks runs a test over both families and both ways to dial, all at once.
func onLoopbacks(t *testing.T, test func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error))) {
	run, wait := atOnce(t)
	defer wait()
	for name, dial := range dials {
		for _, address := range loopbacks {
			run(name+" "+address, func(t *testing.T) {
				l := listenSaving(t, address)
				test(t, l, func(d *dscp.Dialer, ctx context.Context) (*dscp.Conn, error) {
					return dial(d, ctx, l.Addr().String())
				})
			})
		}
	}
}

// onLoopbacksInTurn is onLoopbacks for a test that looks at the whole process: it runs
// one subtest at a time.
func onLoopbacksInTurn(t *testing.T, test func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error))) {
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

// assertFailureStarted asserts that the failure of the second mark started the attempt
// with the third, while the first still waited. If the machine stalled for another
// delay, the delay may have started it.
func assertFailureStarted(t *testing.T, third dscp.Event, took, delay time.Duration) {
	t.Helper()
	if took < 2*delay {
		assert.Equal(t, "failure", third.Why)
	}
}

// named returns the port of l at a host name that serveNames resolves.
func named(t *testing.T, l net.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return net.JoinHostPort("many.example", port)
}

// fixedPorts counts ports below the kernel's ephemeral range, which no other connection
// in the namespace of the test has.
var fixedPorts atomic.Int32

// fixedPort returns a local address to dial l from.
func fixedPort(l net.Listener) *net.TCPAddr {
	return &net.TCPAddr{IP: l.Addr().(*net.TCPAddr).IP, Port: 20000 + int(fixedPorts.Add(1))}
}

// countSYNs counts the SYNs that arrive at an address, by nft's name of their mark.
func countSYNs(t *testing.T, to netip.AddrPort) (counted func() map[string]int) {
	t.Helper()
	family := "ip"
	if to.Addr().Is6() {
		family = "ip6"
	}
	marks := []string{"af21", "4", "0"}
	table := fmt.Sprint("count", hostileTables.Add(1))
	var text strings.Builder
	fmt.Fprintf(&text, "table inet %s {\n", table)
	for _, mark := range marks {
		fmt.Fprintf(&text, "counter mark%s { }\n", mark)
	}
	text.WriteString("chain input { type filter hook input priority 0;\n")
	for _, mark := range marks {
		fmt.Fprintf(&text, "tcp flags & (syn|ack) == syn tcp dport %d %s dscp %s counter name mark%s\n", to.Port(), family, mark, mark)
	}
	text.WriteString("}\n}\n")
	ns := testns.Current(t)
	ns.Input(text.String(), "nft", "-f", "-")
	t.Cleanup(func() { ns.Run("nft", "delete", "table", "inet", table) })
	return func() map[string]int {
		got := map[string]int{}
		for _, mark := range marks {
			out := ns.Run("nft", "list", "counter", "inet", table, "mark"+mark)
			_, after, ok := strings.Cut(out, "packets ")
			require.True(t, ok, out)
			var n int
			_, err := fmt.Sscan(after, &n)
			require.NoError(t, err, out)
			got[mark] = n
		}
		return got
	}
}

// TestFallbackOnTheWire runs Fallback against a kernel that treats SYNs by their mark.
func TestFallbackOnTheWire(t *testing.T) {
	t.Parallel() // it mostly waits
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv6.icmp.ratelimit", "0") // no ICMPv6 error is suppressed
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	// A busy machine may stall: a short operation may take little, and a mark that
	// connects, or fails, before the next one is tried has ample.
	const little, ample = 20 * time.Second, 2 * time.Second
	run, wait := atOnce(t)

	run("a marked SYN is dropped", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			hostile(t, map[string]string{"af21": "drop"}, l)
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample}
			begin := time.Now()
			c, err := dial(&d, t.Context())
			took := time.Since(begin)
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, dscp.LowDelay, c.DSCP())
			assert.GreaterOrEqual(t, took, d.FallbackDelay)
			assert.Less(t, took, little)
			t.Logf("connected after %v with a FallbackDelay of %v", took, d.FallbackDelay)

			got := accept(t, l)
			assert.Equal(t, c.LocalAddr().String(), got.RemoteAddr().String())
			mark, ok := got.PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.LowDelay, mark, "on the wire")
		})
	})
	run("only unmarked SYNs get through", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			hostile(t, map[string]string{"af21": "drop", "4": "drop"}, l)
			d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 20 * time.Millisecond}
			c, err := dial(&d, t.Context())
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, dscp.DF, c.DSCP())
			mark, ok := accept(t, l).PeerDSCP()
			require.True(t, ok)
			assert.Equal(t, dscp.DF, mark, "on the wire")
		})
	})
	run("the default delay", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop"}, l)
		d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback}
		begin := time.Now()
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		took := time.Since(begin)
		require.NoError(t, err)
		defer c.Close()
		assert.Greater(t, took, time.Second, "the kernel sends a SYN again after one second")
		assert.Less(t, took, little)
	})
	run("no delay after a failure", func(t *testing.T) {
		run, wait := atOnce(t)
		defer wait()
		for _, tt := range []struct {
			verdict  string
			errno    syscall.Errno // on IPv4
			ipv4Only bool
		}{
			{"reject with icmpx type host-unreachable", syscall.EHOSTUNREACH, false},
			{"reject with icmpx type no-route", syscall.ENETUNREACH, false},
			{"reject with icmpx type admin-prohibited", syscall.EHOSTUNREACH, false}, // EACCES on IPv6
			{"reject with icmpx type port-unreachable", syscall.ECONNREFUSED, false},
			{"reject with icmp type prot-unreachable", syscall.ENOPROTOOPT, true},
			{"reject with icmp type net-prohibited", syscall.ENETUNREACH, true},
			{"reject with icmp type host-prohibited", syscall.EHOSTUNREACH, true},
			{"reject with tcp reset", syscall.ECONNREFUSED, false},
		} {
			for _, address := range loopbacks {
				if tt.ipv4Only && address != loopbacks[0] {
					continue
				}
				run(tt.verdict+" "+address, func(t *testing.T) {
					l := listenSaving(t, address)
					hostile(t, map[string]string{"af21": tt.verdict}, l)
					if address == loopbacks[0] {
						_, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
						require.ErrorIs(t, err, tt.errno)
					}
					// On IPv6 Linux acts only on the error for the second SYN, after 1 s.
					d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour}
					c, err := d.Dial("tcp", l.Addr().String())
					require.NoError(t, err)
					defer c.Close()
					assert.Equal(t, dscp.LowDelay, c.(*dscp.Conn).DSCP())
					mark, ok := accept(t, l).PeerDSCP()
					require.True(t, ok)
					assert.Equal(t, dscp.LowDelay, mark, "on the wire")
				})
			}
		}
	})
	run("a refusal while another attempt waits", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			hostile(t, map[string]string{"ef": "drop", "af21": "reject with tcp reset"}, l)
			events := make(chan dscp.Event, 3)
			d := dscp.Dialer{
				DSCP: dscp.EF, Fallback: []dscp.CodePoint{dscp.AF21, dscp.DF}, FallbackDelay: ample,
				Trace: func(e dscp.Event) { events <- e },
			}
			begin := time.Now()
			c, err := dial(&d, t.Context())
			took := time.Since(begin)
			require.NoError(t, err)
			defer c.Close()
			assert.Equal(t, dscp.DF, c.DSCP())
			for range 3 {
				e := <-events
				if e.Requested == dscp.DF {
					assertFailureStarted(t, e, took, d.FallbackDelay)
					continue
				}
				assert.Equal(t, map[dscp.CodePoint]string{dscp.EF: "first", dscp.AF21: "delay"}[e.Requested], e.Why)
			}
		})
	})
	run("refused and dropped", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			hostile(t, map[string]string{"ef": "drop", "af21": "reject with tcp reset", "0": "drop"}, l)
			d := dscp.Dialer{
				NetDialer: &net.Dialer{Timeout: 2 * ample},
				DSCP:      dscp.EF, Fallback: []dscp.CodePoint{dscp.AF21, dscp.DF}, FallbackDelay: time.Millisecond,
			}
			_, err := dial(&d, t.Context())
			address := l.Addr().String()
			require.Error(t, err)
			require.Equal(t, "dial tcp "+address+": with DSCP EF: dial tcp "+address+": i/o timeout; "+
				"with DSCP AF21: dial tcp "+address+": connect: connection refused; "+
				"with DSCP DF: dial tcp "+address+": i/o timeout", text(err))
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.True(t, err.(net.Error).Timeout())
		})
	})
	run("a closed port", func(t *testing.T) {
		run, wait := atOnce(t)
		defer wait()
		for way, dial := range dials {
			for _, address := range loopbacks {
				run(way+" "+address, func(t *testing.T) {
					closed := nobody.Listens(t, address)
					counted := countSYNs(t, netip.MustParseAddrPort(closed))
					_, want := dial(new(dscp.Dialer), t.Context(), closed)
					require.ErrorIs(t, want, syscall.ECONNREFUSED)
					require.Equal(t, map[string]int{"af21": 0, "4": 0, "0": 1}, counted())

					d := dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour}
					_, err := dial(&d, t.Context(), closed)
					require.EqualError(t, err, want.Error())
					require.ErrorIs(t, err, syscall.ECONNREFUSED)
					assert.Equal(t, map[string]int{"af21": 1, "4": 1, "0": 2}, counted(), "one SYN for each mark")
				})
			}
		}
	})
	run("every mark is dropped", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			hostile(t, map[string]string{"af21": "drop", "4": "drop", "0": "drop"}, l)
			address := l.Addr().String()
			run, wait := atOnce(t)
			defer wait()
			for name, bounded := range map[string]*net.Dialer{
				"Timeout":  {Timeout: 2 * ample},
				"Deadline": {Deadline: time.Now().Add(2 * ample)},
			} {
				run(name, func(t *testing.T) {
					d := dscp.Dialer{NetDialer: bounded, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Millisecond}
					begin := time.Now()
					_, err := dial(&d, t.Context())
					assert.Less(t, time.Since(begin), little, "the limit is for all attempts together")
					require.Error(t, err)
					require.Equal(t, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
						"with DSCP lowdelay: dial tcp "+address+": i/o timeout; "+
						"with DSCP DF: dial tcp "+address+": i/o timeout", text(err))

					ne, ok := err.(net.Error)
					require.True(t, ok)
					assert.True(t, ne.Timeout())
					tried := attemptErrors(err)
					require.Len(t, tried, 3)
					for i, cp := range []dscp.CodePoint{dscp.AF21, dscp.LowDelay, dscp.DF} {
						assert.True(t, strings.HasPrefix(tried[i].Error(), fmt.Sprintf("with DSCP %v: ", cp)), "%v", tried[i])
						_, marking := errors.AsType[*dscp.MarkError](tried[i])
						assert.False(t, marking, "the mark is not the reason")
					}
				})
			}
		})
	})
	run("a different error for each mark", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable", "0": "reject with icmpx type no-route"}, l)
		address := l.Addr().String()
		d := dscp.Dialer{NetDialer: &net.Dialer{Timeout: 2 * ample}, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Millisecond}
		_, err := d.Dial("tcp", address)
		require.EqualError(t, err, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
			"with DSCP lowdelay: dial tcp "+address+": connect: no route to host; "+
			"with DSCP DF: dial tcp "+address+": connect: network is unreachable")
		require.ErrorIs(t, err, syscall.EHOSTUNREACH)
		require.ErrorIs(t, err, syscall.ENETUNREACH)
	})
	run("a timeout before the delay", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop"}, l)
		d := dscp.Dialer{NetDialer: &net.Dialer{Timeout: 50 * time.Millisecond}, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour}
		_, err := d.Dial("tcp", l.Addr().String())
		address := l.Addr().String()
		require.EqualError(t, err, "dial tcp "+address+": with DSCP AF21: dial tcp "+address+": i/o timeout; "+
			"with DSCP lowdelay: not started; with DSCP DF: not started")
	})
	run("a name with many addresses", func(t *testing.T) {
		name := serveNames(t, 0, "127.0.0.2", "127.0.0.3", "::1", "127.0.0.1")
		for _, address := range loopbacks {
			t.Run(address, func(t *testing.T) {
				// Of the addresses one has a listener; the others refuse.
				l := listenSaving(t, address)
				hostile(t, map[string]string{"af21": "drop"}, l)
				_, port, err := net.SplitHostPort(l.Addr().String())
				require.NoError(t, err)
				d := dscp.Dialer{NetDialer: &net.Dialer{Resolver: name}, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample}
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
			d.Fallback = fallback
			_, err := d.Dial("tcp", "none.example:22")
			require.EqualError(t, err, want.Error())
		})
	})
	run("a slow name server", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		nd, sockets := countSockets()
		nd.Resolver = serveNames(t, ample+200*time.Millisecond, "127.0.0.1")
		d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample}
		c, err := d.Dial("tcp", named(t, l))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		assert.Equal(t, dscp.AF21, c.(*dscp.Conn).DSCP(), "the lookup does not count towards the delay")
		assert.EqualValues(t, 1, sockets.Load())
	})
	run("a slow name server and a dropped mark", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop", "4": "drop"}, l)
		const lookup, delay = 400 * time.Millisecond, 300 * time.Millisecond
		events := make(chan dscp.Event, 3)
		d := dscp.Dialer{
			NetDialer: &net.Dialer{Resolver: serveNames(t, lookup, "127.0.0.1")},
			DSCP:      dscp.AF21, Fallback: fallback, FallbackDelay: delay,
			Trace: func(e dscp.Event) { events <- e },
		}
		begin := time.Now()
		c, err := d.Dial("tcp", named(t, l))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(begin), 3*lookup+2*delay, "each mark has its delay after its lookup")
		require.NoError(t, c.Close())
		assert.Equal(t, dscp.DF, c.(*dscp.Conn).DSCP())
		for range 3 {
			e := <-events
			assert.Equal(t, map[dscp.CodePoint]string{dscp.AF21: "first", dscp.LowDelay: "delay", dscp.DF: "delay"}[e.Requested], e.Why)
		}
	})
	run("only the first lookup is slow", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop"}, l)
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
		d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample}
		c, err := d.Dial("tcp", named(t, l))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, made, 2)
		assert.GreaterOrEqual(t, made[1].Sub(made[0]), d.FallbackDelay-10*time.Millisecond, "the delay of the first mark starts after its own lookup")
	})
	run("a slow name server and a fixed local port", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		d := dscp.Dialer{
			NetDialer: &net.Dialer{LocalAddr: fixedPort(l), Resolver: serveNames(t, ample+200*time.Millisecond, "127.0.0.1")},
			DSCP:      dscp.AF21, Fallback: fallback, FallbackDelay: ample,
		}
		c, err := d.Dial("tcp4", named(t, l))
		require.NoError(t, err)
		assert.Equal(t, dscp.AF21, c.(*dscp.Conn).DSCP())
		require.NoError(t, c.Close())
	})
	run("a timeout during the lookup", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		nd, sockets := countSockets()
		nd.Resolver = serveNames(t, ample+200*time.Millisecond, "127.0.0.1")
		d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample}
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		_, err := d.DialContext(ctx, "tcp", named(t, l))
		ne, ok := errors.AsType[net.Error](err)
		require.True(t, ok)
		assert.True(t, ne.Timeout(), "%v", err)
		assert.Zero(t, sockets.Load())
	})
	run("remembered", func(t *testing.T) {
		onLoopbacks(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			var memory dscp.Memory
			up := func(delay time.Duration) (mark dscp.CodePoint, sockets int32) {
				nd, made := countSockets()
				d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: delay, Memory: &memory}
				c, err := dial(&d, t.Context())
				require.NoError(t, err)
				require.NoError(t, c.Close())
				return c.DSCP(), made.Load()
			}
			mark, sockets := up(time.Hour)
			assert.Equal(t, dscp.AF21, mark)
			assert.EqualValues(t, 1, sockets)
			assert.Zero(t, memory.Len(), "nothing to remember")

			t.Run("the mark that connected", func(t *testing.T) {
				hostile(t, map[string]string{"af21": "drop", "4": "drop"}, l)
				mark, _ := up(20 * time.Millisecond)
				assert.Equal(t, dscp.DF, mark)
				works, expires, ok := memory.Remembered("tcp", l.Addr().String(), dscp.AF21)
				require.True(t, ok)
				assert.Equal(t, dscp.DF, works)

				mark, sockets := up(time.Hour)
				assert.Equal(t, dscp.DF, mark)
				assert.EqualValues(t, 1, sockets, "the next dial starts with the mark that connected")
				_, still, _ := memory.Remembered("tcp", l.Addr().String(), dscp.AF21)
				assert.Equal(t, expires, still, "the next dial does not renew the entry")
			})
			t.Run("the first mark again", func(t *testing.T) {
				hostile(t, map[string]string{"0": "drop"}, l)
				mark, sockets := up(ample)
				assert.Equal(t, dscp.AF21, mark)
				assert.EqualValues(t, 2, sockets)
				assert.Zero(t, memory.Len(), "the first mark connects again")
			})
		})
	})
	run("traced", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable"}, l)
		events := make(chan dscp.Event, 10)
		d := dscp.Dialer{
			DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: ample,
			Memory: new(dscp.Memory), Trace: func(e dscp.Event) { events <- e },
		}
		begin := time.Now()
		c, err := d.Dial("tcp", l.Addr().String())
		took := time.Since(begin)
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
		assertFailureStarted(t, won, took, d.FallbackDelay)
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
	wait()
	// Not while other tests start programs: between fork and exec a child has copies of
	// all sockets, and the port is not free.
	t.Run("a fixed local port", func(t *testing.T) {
		for _, address := range loopbacks {
			l := listenSaving(t, address)
			hostile(t, map[string]string{"af21": "drop", "4": "drop"}, l)
			local := fixedPort(l)

			d := dscp.Dialer{NetDialer: &net.Dialer{LocalAddr: local}, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 50 * time.Millisecond}
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
	t.Run("a fixed local port and every mark dropped", func(t *testing.T) {
		l := listenSaving(t, "127.0.0.1:0")
		hostile(t, map[string]string{"af21": "drop", "4": "drop", "0": "drop"}, l)
		d := dscp.Dialer{
			NetDialer: &net.Dialer{LocalAddr: fixedPort(l), Timeout: ample / 2},
			DSCP:      dscp.AF21, Fallback: fallback, FallbackDelay: 20 * time.Millisecond,
		}
		_, err := d.Dial("tcp", l.Addr().String())
		require.Len(t, attemptErrors(err), 3, "%v", err)
		for _, err := range attemptErrors(err) {
			assert.True(t, err.(net.Error).Timeout(), "a timeout, not a cancellation: %v", err)
			require.NotErrorIs(t, err, context.Canceled)
		}
	})
	t.Run("a prohibit route", func(t *testing.T) {
		ns := testns.Current(t)
		// The rule has to come before the one for the local table.
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
	t.Run("cancelled at any moment", func(t *testing.T) {
		hostile(t, map[string]string{"af21": "drop", "4": "reject with icmpx type host-unreachable"})
		onLoopbacksInTurn(t, func(t *testing.T, l net.Listener, dial func(*dscp.Dialer, context.Context) (*dscp.Conn, error)) {
			cancelAtAnyMoment(t, l, 6*time.Millisecond, dial)
		})
	})
}
