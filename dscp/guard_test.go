package dscp

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// guardPairs runs f for a client conn of each family, pinned at AF21.
func guardPairs(t *testing.T, f func(t *testing.T, c *Conn)) {
	requireHost(t)
	for _, addr := range loopbacks(t) {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, addr))
			f(t, c)
			require.NoError(t, c.Verify())
		})
	}
}

func TestXNetIsRefused(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		v4, v6 := ipv4.NewConn(c), ipv6.NewConn(c)
		for cp := range CodePoint(64) {
			sets := map[string]error{}
			if c.pin.option == tos.IPv4TOS {
				sets["IP_TOS"] = v4.SetTOS(int(cp.TOS()))
				require.Error(t, v6.SetTrafficClass(int(cp.TOS())), "an IPv4 socket has no such option")
			} else {
				sets["IPV6_TCLASS"] = v6.SetTrafficClass(int(cp.TOS()))
				sets["IP_TOS"] = v4.SetTOS(int(cp.TOS()))
			}
			for opt, err := range sets {
				idle := opt != c.pin.option.String()
				if cp == DF && idle && trial.SeparateOptions() != nil {
					require.ErrorIs(t, err, ErrMidFlow, "it would change the other option")
					continue
				}
				unchanged := cp == DF && idle // IP_TOS of an IPv6 socket, which is not in use, holds 0
				if cp == AF21 || unchanged {
					require.NoError(t, err, opt)
					continue
				}
				require.ErrorIs(t, err, ErrMidFlow, "%s = %v", opt, cp)
			}
		}
		require.NoError(t, v4.SetTTL(44))
		ttl, err := v4.TTL()
		require.NoError(t, err)
		assert.Equal(t, 44, ttl, "other options reach the real socket")
	})
}

// TestUnknownClosures passes functions that are not x/net's to each method.
func TestUnknownClosures(t *testing.T) {
	t.Parallel()
	set := func(c *Conn, cp CodePoint) func(fd uintptr) error {
		return func(fd uintptr) error { return c.pin.option.Set(tos.FD(fd), cp.TOS()) }
	}
	methods := map[string]func(raw syscall.RawConn, f func(uintptr) error) (err, inner error){
		"Control": func(raw syscall.RawConn, f func(uintptr) error) (err, inner error) {
			err = raw.Control(func(fd uintptr) { inner = f(fd) })
			return err, inner
		},
		"Read": func(raw syscall.RawConn, f func(uintptr) error) (err, inner error) {
			err = raw.Read(func(fd uintptr) bool { inner = f(fd); return true })
			return err, inner
		},
		"Write": func(raw syscall.RawConn, f func(uintptr) error) (err, inner error) {
			err = raw.Write(func(fd uintptr) bool { inner = f(fd); return true })
			return err, inner
		},
		// A closure that changes the mark and returns false must not wait with the
		// mark changed.
		"Read, not done": func(raw syscall.RawConn, f func(uintptr) error) (err, inner error) {
			err = raw.Read(func(fd uintptr) bool { inner = f(fd); return false })
			return err, inner
		},
	}
	guardPairs(t, func(t *testing.T, c *Conn) {
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		for name, call := range methods {
			for _, cp := range []CodePoint{DF, CS1, LowDelay, EF, 63} {
				err, inner := call(raw, set(c, cp))
				require.NoError(t, inner, name)
				require.ErrorIs(t, err, ErrMidFlow, name)
				require.ErrorContains(t, err, cp.String(), name)
				require.NoError(t, c.Verify(), name)
			}
			if name == "Read, not done" {
				continue
			}
			err, inner := call(raw, set(c, AF21))
			require.NoError(t, inner)
			require.NoError(t, err, "%s: the pinned mark", name)
			err, _ = call(raw, func(uintptr) error { return nil })
			require.NoError(t, err, "%s: a harmless closure", name)
		}
	})
}

func TestClosureThatPanics(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		assert.Panics(t, func() {
			raw.Control(func(fd uintptr) {
				c.pin.option.Set(tos.FD(fd), CS1.TOS())
				panic("boom")
			})
		})
		require.NoError(t, c.Verify(), "the mark is restored")
		require.NoError(t, raw.Control(func(uintptr) {}), "the conn is not locked")
	})
}

// TestGuardRestoresMarkBeforeCall changes the mark past the guard first. A guarded call
// must not undo that change.
func TestGuardRestoresMarkBeforeCall(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	require.NoError(t, tos.IPv4TOS.Set(c.pin.raw, CS2.TOS()))
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(uintptr) {}), "a harmless closure gets no error")
	require.ErrorIs(t, raw.Control(func(fd uintptr) { tos.IPv4TOS.Set(tos.FD(fd), CS1.TOS()) }), ErrMidFlow)
	require.ErrorIs(t, ipv4.NewConn(c).SetTOS(int(CS1.TOS())), ErrMidFlow)
	octet, err := tos.IPv4TOS.Get(c.pin.raw)
	require.NoError(t, err)
	assert.Equal(t, CS2.TOS(), octet)
	require.NoError(t, ipv4.NewConn(c).SetTOS(int(AF21.TOS())), "setting the pinned mark is allowed")
	require.NoError(t, c.Verify())
	require.NoError(t, tos.IPv4TOS.Set(c.pin.raw, CS2.TOS()))
	require.NoError(t, raw.Control(func(fd uintptr) { tos.IPv4TOS.Set(tos.FD(fd), AF21.TOS()) }), "setting the pinned mark is allowed")
	require.NoError(t, c.Verify())
}

// TestClosuresMayWaitForOneAnother runs a closure that calls the methods of its own conn,
// and waits for another goroutine that does so. Nothing hangs, and each closure that ran
// when the change was found gets an error.
func TestClosuresMayWaitForOneAnother(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		remark := func(fd uintptr) { assert.NoError(t, c.pin.option.Set(tos.FD(fd), CS1.TOS())) }
		nothing := func(uintptr) {}
		for name, tt := range map[string]struct {
			outer, inner func(fd uintptr)
			want         [3]error
		}{
			"harmless":      {nothing, nothing, [3]error{nil, nil, nil}},
			"outer remarks": {remark, nothing, [3]error{ErrMidFlow, ErrMidFlow, nil}},
			"inner remarks": {nothing, remark, [3]error{ErrMidFlow, ErrMidFlow, ErrMidFlow}},
			"both remark":   {remark, remark, [3]error{ErrMidFlow, ErrMidFlow, ErrMidFlow}},
		} {
			done := make(chan [3]error, 1)
			go func() {
				var errs [3]error // of the outer, of the inner, of the inner in another goroutine
				errs[0] = raw.Control(func(fd uintptr) {
					tt.outer(fd)
					errs[1] = raw.Control(tt.inner)
					other := make(chan error)
					go func() { other <- raw.Control(tt.inner) }()
					errs[2] = <-other
				})
				done <- errs
			}()
			select {
			case errs := <-done:
				for i, err := range errs {
					if tt.want[i] == nil {
						assert.NoError(t, err, "%s, %d", name, i)
					} else {
						assert.ErrorIs(t, err, tt.want[i], "%s, %d", name, i)
					}
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: a closure hangs", name)
			}
			require.NoError(t, c.Verify(), name)
		}
		require.NoError(t, raw.Control(nothing), "later closures get no error")
	})
}

// TestEveryMarkingClosureGetsError runs closures that change the mark and harmless ones
// concurrently. Each closure that changes the mark must get an error, even if another
// call has restored the mark.
func TestEveryMarkingClosureGetsError(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				raw, err := c.SyscallConn()
				if !assert.NoError(t, err) {
					return
				}
				if i%2 == 0 {
					if err := raw.Control(func(uintptr) {}); err != nil {
						assert.ErrorIs(t, err, ErrMidFlow)
					}
				} else {
					err := raw.Control(func(fd uintptr) { tos.IPv4TOS.Set(tos.FD(fd), CS1.TOS()) })
					assert.ErrorIs(t, err, ErrMidFlow)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Verify())
}

// TestXNetIsRefusedWhileAClosureRuns sets, through x/net, the mark that a closure has
// just set and that is not restored yet.
func TestXNetIsRefusedWhileAClosureRuns(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		var refused error
		err = raw.Control(func(fd uintptr) {
			assert.NoError(t, c.pin.option.Set(tos.FD(fd), CS1.TOS()))
			refused = c.pin.option.Set(raw, CS1.TOS()) // as x/net's SetTOS does
		})
		require.ErrorIs(t, refused, ErrMidFlow)
		require.ErrorIs(t, err, ErrMidFlow)
	})
}

// TestXNetIsRefusedForCurrentMark changes the mark past the guard first, and then sets
// the same mark through x/net. DF is also the mark of a new trial socket.
func TestXNetIsRefusedForCurrentMark(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		for _, cp := range []CodePoint{CS1, DF} {
			require.NoError(t, c.pin.option.Set(c.pin.raw, cp.TOS()))
			require.ErrorIs(t, c.pin.option.Set(raw, cp.TOS()), ErrMidFlow, "%v", cp)
			require.NoError(t, c.pin.option.Set(raw, AF21.TOS()), "setting the pinned mark is allowed")
		}
	})
}

// TestControlDoesNotWaitForWrite blocks a write, as a full send buffer does. The guard
// must run closures and refuse changes meanwhile.
func TestControlDoesNotWaitForWrite(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	bare, err := c.TCPConn.SyscallConn()
	require.NoError(t, err)
	held, release, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		written <- bare.Write(func(uintptr) bool { close(held); <-release; return true })
	}()
	<-held
	done := make(chan error, 1)
	go func() {
		raw, err := c.SyscallConn()
		if err == nil {
			err = raw.Control(func(uintptr) {})
		}
		done <- errors.Join(err, ipv4.NewConn(c).SetTOS(int(CS1.TOS())))
	}()
	select {
	case err = <-done:
		assert.ErrorIs(t, err, ErrMidFlow)
	case <-time.After(10 * time.Second):
		t.Error("the guard waits for the write")
	}
	close(release)
	require.NoError(t, <-written)
}

func TestGuardAfterClose(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Error(t, raw.Control(func(uintptr) { t.Error("Control ran the closure") }))
	require.Error(t, raw.Read(func(uintptr) bool { t.Error("Read ran the closure"); return true }))
	require.Error(t, raw.Write(func(uintptr) bool { t.Error("Write ran the closure"); return true }))
}

// TestXNetInsideAClosure sets options through x/net inside a closure of the caller, as
// programs do that set several options in one call.
func TestXNetInsideAClosure(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	done := make(chan [3]error, 1)
	go func() {
		var errs [3]error
		errs[0] = raw.Control(func(uintptr) {
			errs[1] = ipv4.NewConn(c).SetTTL(44)
			errs[2] = ipv4.NewConn(c).SetTOS(int(CS1.TOS()))
		})
		done <- errs
	}()
	select {
	case errs := <-done:
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		require.ErrorIs(t, errs[2], ErrMidFlow)
	case <-time.After(10 * time.Second):
		t.Fatal("the closure waits for itself")
	}
	require.NoError(t, c.Verify())
}
