package dscp_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/faults"
	"github.com/godscp/godscp/internal/testns"
)

// serveMarks answers the first byte of each connection with the mark of its SYN.
func serveMarks(t *testing.T, address string) *dscp.Listener {
	t.Helper()
	l, err := (&dscp.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				mark, _ := c.(*dscp.Conn).PeerDSCP()
				if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
					_, _ = c.Write([]byte{uint8(mark)})
				}
			}()
		}
	}()
	return l.(*dscp.Listener)
}

// TestFaultCancelled cancels dials at random moments.
func TestFaultCancelled(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	const points = 1000
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	l := serveMarks(t, ":0")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	here := net.JoinHostPort("127.0.0.1", port)
	dropping := dscptest.NewMiddlebox(t, here, dscptest.DropMarked(dscp.AF21)).Addr()
	named := &net.Dialer{Resolver: serveNamesIn(t, func(int) time.Duration { return time.Duration(rand.IntN(400)) * time.Microsecond }, "127.0.0.1", "::1")}
	name := net.JoinHostPort("many.example", port)
	for _, tt := range []struct {
		name    string
		dialer  dscp.Dialer
		address string
		within  time.Duration // 0: measure how long a dial takes
	}{
		{"to a server", dscp.Dialer{DSCP: dscp.AF21}, here, 0},
		{"with Fallback", dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback}, here, 0},
		{"with Fallback at once", dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 1}, here, 0},
		{"SYN dropped", dscp.Dialer{DSCP: dscp.AF21}, dropping, time.Millisecond},
		{"SYN dropped, with Fallback", dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 300 * time.Microsecond}, dropping, 0},
		{"while resolving", dscp.Dialer{NetDialer: named, DSCP: dscp.AF21}, name, 0},
		{"while resolving, with Fallback", dscp.Dialer{NetDialer: named, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 100 * time.Microsecond}, name, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keepGarbage(t)
			span := tt.within
			if span == 0 {
				span = measure(t, &tt.dialer, tt.address)
			}
			before := leftovers(t)
			up := 0
			for i := range points {
				after := time.Duration(rand.Float64() * 1.2 * float64(span))
				ctx, cancel := context.WithCancel(t.Context())
				if i%2 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), after)
				} else {
					time.AfterFunc(after, cancel)
				}
				c, err := tt.dialer.DialContext(ctx, "tcp", tt.address)
				cancel()
				if err == nil {
					up++
					requireSYNMark(t, c)
					continue
				}
				require.Nil(t, c)
				requireCancelled(t, err)
			}
			t.Logf("%d dials cancelled within %v: %d connected before", points, span, up)
			assert.Less(t, up, points)
			requireNothingLeft(t, before)
		})
	}
}

// TestFaultCancelledAtEveryCall cancels a dial just before one of its system calls, for
// each of them.
func TestFaultCancelledAtEveryCall(t *testing.T) {
	t.Parallel()
	if !faults.Inside(t) {
		return
	}
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	l := serveMarks(t, ":0")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	names := serveNames(t, 0, "127.0.0.1", "::1")
	for host, nd := range map[string]*net.Dialer{"127.0.0.1": nil, "::1": nil, "many.example": {Resolver: names}} {
		for name, d := range map[string]dscp.Dialer{
			"alone":            {NetDialer: nd, DSCP: dscp.AF21},
			"Fallback":         {NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback},
			"Fallback at once": {NetDialer: nd, DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 1},
		} {
			t.Run(host+"/"+name, func(t *testing.T) {
				keepGarbage(t)
				address := net.JoinHostPort(host, port)
				measure(t, &d, address) // opens the descriptors that the runtime keeps
				before := leftovers(t)
				cancelled, up := 0, 0
				for range 5 {
					for n, reached := 0, true; reached; n++ {
						ctx, cancel := context.WithCancel(t.Context())
						var c net.Conn
						var err error
						reached = faults.At(n, cancel, func() { c, err = d.DialContext(ctx, "tcp", address) })
						cancel()
						if err != nil {
							cancelled++
							require.Nil(t, c)
							requireCancelled(t, err)
							continue
						}
						up++
						requireSYNMark(t, c)
					}
				}
				t.Logf("%d dials cancelled: %d connected before", cancelled+up, up)
				assert.NotZero(t, cancelled)
				requireNothingLeft(t, before)
			})
		}
	}
}

func requireCancelled(t *testing.T, err error) {
	t.Helper()
	ne, ok := err.(net.Error)
	require.True(t, ok, "%T: %v", err, err)
	require.True(t, ne.Timeout() || errors.Is(err, context.Canceled), "%v", err)
}

// measure returns the median duration of a dial.
func measure(t *testing.T, d *dscp.Dialer, address string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 31 {
		begin := time.Now()
		c, err := d.DialContext(t.Context(), "tcp", address)
		took = append(took, time.Since(begin))
		require.NoError(t, err)
		requireSYNMark(t, c)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// requireSYNMark checks that the DSCP of a conn to serveMarks is the mark of its SYN,
// and closes the conn.
func requireSYNMark(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err := c.Write([]byte{'?'})
	require.NoError(t, err)
	var mark [1]byte
	_, err = io.ReadFull(c, mark[:])
	require.NoError(t, err)
	pinned := c.(*dscp.Conn)
	assert.Equal(t, dscp.CodePoint(mark[0]), pinned.DSCP(), "on the wire")
	require.NoError(t, pinned.Verify())
	require.NoError(t, c.Close())
}

// TestFaultListenerClosed closes listeners while many goroutines wait in Accept and
// clients connect.
func TestFaultListenerClosed(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	const rounds, accepting, dialing = 100, 16, 4
	keepGarbage(t)
	l, _ := listenIn(t, families[0]) // opens the descriptors that the runtime keeps
	require.NoError(t, l.Close())
	before := leftovers(t)
	accepted := 0
	for range rounds {
		l, address := listenIn(t, families[rand.IntN(len(families))])
		ends := make(chan error, accepting)
		conns := make(chan net.Conn, 10_000)
		for range accepting {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						if c != nil {
							err = errors.New("Accept returned a conn and an error")
						}
						ends <- err
						return
					}
					conns <- c
				}
			}()
		}
		stop := make(chan struct{})
		clients := make(chan struct{}, dialing)
		for range dialing {
			go func() {
				defer func() { clients <- struct{}{} }()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", address); err == nil {
						c.Close()
					}
				}
			}()
		}
		first := <-conns
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { l.Close() })
		for range accepting {
			select {
			case err := <-ends:
				require.ErrorIs(t, err, net.ErrClosed)
			case <-time.After(time.Minute):
				t.Fatal("an Accept hangs")
			}
		}
		close(stop)
		for range dialing {
			<-clients
		}
		conns <- first
		close(conns)
		for c := range conns {
			accepted++
			assert.Equal(t, dscp.EF, c.(*dscp.Conn).DSCP())
			require.NoError(t, c.Close())
		}
	}
	t.Logf("%d listeners closed during %d calls of Accept each, %d conns accepted", rounds, accepting, accepted)
	requireNothingLeft(t, before)
}
