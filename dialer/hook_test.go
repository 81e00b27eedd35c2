package dialer_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/trial"
)

// A journal records which hooks ran, in order.
type journal struct {
	mu  sync.Mutex
	ran []string
}

func (j *journal) note(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ran = append(j.ran, name)
}

func (j *journal) hook(name string, err error) dialer.Hook {
	return func(context.Context, string, string, syscall.RawConn) error {
		j.note(name)
		return err
	}
}

func (j *journal) control(name string, err error) func(string, string, syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		j.note(name)
		return err
	}
}

// hookless lists the systems on which package net runs no hooks.
var hookless = []string{"js", "plan9", "wasip1"}

// needHooks skips a test on those systems; TestHooksDoNotRun is for them.
func needHooks(t *testing.T) {
	t.Helper()
	if slices.Contains(hookless, runtime.GOOS) {
		t.Skip("package net runs no hooks on " + runtime.GOOS)
	}
}

// TestHooksDoNotRun proves what [dialer.Hook] says about systems without hooks.
func TestHooksDoNotRun(t *testing.T) {
	t.Parallel()
	if !slices.Contains(hookless, runtime.GOOS) {
		t.Skip("package net runs hooks on " + runtime.GOOS)
	}
	var j journal
	l, err := dialer.WithListen(nil, j.hook("listen", nil)).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := dialer.With(nil, j.hook("dial", nil)).Dial("tcp4", l.Addr().String())
	if runtime.GOOS == "plan9" {
		require.NoError(t, err)
		c.Close()
	} else {
		require.Error(t, err)
	}
	assert.Empty(t, j.ran)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestWithOrder(t *testing.T) {
	t.Parallel()
	needHooks(t)
	errOwn, errHook := errors.New("own"), errors.New("hook")
	tests := []struct {
		name    string
		dialer  func(j *journal) *net.Dialer
		hooks   func(j *journal) []dialer.Hook
		ran     []string
		wantErr error
	}{
		{
			name:   "nil dialer, no hooks",
			dialer: func(*journal) *net.Dialer { return nil },
			hooks:  func(*journal) []dialer.Hook { return nil },
		},
		{
			name:   "nil hooks are left out",
			dialer: func(*journal) *net.Dialer { return nil },
			hooks:  func(j *journal) []dialer.Hook { return []dialer.Hook{nil, j.hook("a", nil), nil} },
			ran:    []string{"a"},
		},
		{
			name:   "Control first",
			dialer: func(j *journal) *net.Dialer { return &net.Dialer{Control: j.control("own", nil)} },
			hooks:  func(j *journal) []dialer.Hook { return []dialer.Hook{j.hook("a", nil), j.hook("b", nil)} },
			ran:    []string{"own", "a", "b"},
		},
		{
			name: "ControlContext wins over Control",
			dialer: func(j *journal) *net.Dialer {
				return &net.Dialer{Control: j.control("ignored", nil), ControlContext: j.hook("own", nil)}
			},
			hooks: func(j *journal) []dialer.Hook { return []dialer.Hook{j.hook("a", nil)} },
			ran:   []string{"own", "a"},
		},
		{
			name:    "the caller's error stops the dial",
			dialer:  func(j *journal) *net.Dialer { return &net.Dialer{Control: j.control("own", errOwn)} },
			hooks:   func(j *journal) []dialer.Hook { return []dialer.Hook{j.hook("a", nil)} },
			ran:     []string{"own"},
			wantErr: errOwn,
		},
		{
			name:    "a hook's error stops the dial",
			dialer:  func(j *journal) *net.Dialer { return nil },
			hooks:   func(j *journal) []dialer.Hook { return []dialer.Hook{j.hook("a", errHook), j.hook("b", nil)} },
			ran:     []string{"a"},
			wantErr: errHook,
		},
		{
			name:   "nested",
			dialer: func(j *journal) *net.Dialer { return dialer.With(nil, j.hook("inner", nil)) },
			hooks:  func(j *journal) []dialer.Hook { return []dialer.Hook{j.hook("outer", nil)} },
			ran:    []string{"inner", "outer"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			var j journal
			c, err := dialer.With(tt.dialer(&j), tt.hooks(&j)...).Dial("tcp", l.Addr().String())
			if tt.wantErr != nil {
				require.ErrorIs(t, err, tt.wantErr)
				var op *net.OpError
				require.ErrorAs(t, err, &op)
				assert.Equal(t, l.Addr().String(), op.Addr.String())
			} else {
				require.NoError(t, err)
				c.Close()
			}
			assert.Equal(t, tt.ran, j.ran)
		})
	}
}

func TestWithContext(t *testing.T) {
	t.Parallel()
	needHooks(t)
	type key struct{}
	l := listen(t)
	var got any
	own := &net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error { return nil }}
	d := dialer.With(own, func(ctx context.Context, network, address string, _ syscall.RawConn) error {
		got = ctx.Value(key{})
		assert.Equal(t, "tcp4", network)
		assert.Equal(t, l.Addr().String(), address)
		return nil
	})
	c, err := d.DialContext(context.WithValue(t.Context(), key{}, "mine"), "tcp", l.Addr().String())
	require.NoError(t, err)
	c.Close()
	assert.Equal(t, "mine", got)
}

func TestWithDoesNotChangeTheCaller(t *testing.T) {
	t.Parallel()
	needHooks(t)
	l := listen(t)
	var j journal
	own := &net.Dialer{Control: j.control("own", nil), KeepAlive: 42}
	hooks := []dialer.Hook{j.hook("a", nil)}
	d := dialer.With(own, hooks...)
	assert.EqualValues(t, 42, d.KeepAlive)
	assert.Nil(t, d.Control, "net would not run it")

	hooks[0] = j.hook("changed later", nil)
	own.KeepAlive = 1
	d.KeepAlive = 2
	assert.Nil(t, own.ControlContext)
	require.NotNil(t, own.Control)

	c, err := own.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c.Close()
	assert.Equal(t, []string{"own"}, j.ran, "the caller's dialer has no new hook")

	j.ran = nil
	c, err = d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c.Close()
	assert.Equal(t, []string{"own", "a"}, j.ran)

	lc := &net.ListenConfig{}
	dialer.WithListen(lc, hooks...)
	assert.Nil(t, lc.Control)

	j.ran = nil
	hooks = []dialer.Hook{j.hook("a", nil), nil, j.hook("b", nil)}
	d = dialer.With(nil, hooks...)
	hooks[0], hooks[2] = j.hook("changed later", nil), nil
	c, err = d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c.Close()
	assert.Equal(t, []string{"a", "b"}, j.ran, "a later change of the slice has no effect")
}

func TestWithoutHooksNothingChanges(t *testing.T) {
	t.Parallel()
	var j journal
	d := dialer.With(&net.Dialer{Control: j.control("own", nil), KeepAlive: 42}, nil)
	assert.NotNil(t, d.Control)
	assert.Nil(t, d.ControlContext)
	assert.EqualValues(t, 42, d.KeepAlive)
}

func TestWithListenOrder(t *testing.T) {
	t.Parallel()
	needHooks(t)
	errHook := errors.New("hook")
	for _, network := range []string{"tcp4", "udp4"} {
		for _, fail := range []error{nil, errHook} {
			t.Run(network, func(t *testing.T) {
				t.Parallel()
				if network == "udp4" {
					trial.Need(t, trial.UDP)
				}
				var j journal
				lc := dialer.WithListen(&net.ListenConfig{Control: j.control("own", nil)}, nil, j.hook("a", fail),
					func(ctx context.Context, n, _ string, _ syscall.RawConn) error {
						j.note("b")
						assert.Equal(t, network, n)
						assert.NotNil(t, ctx)
						return nil
					})
				lc.SetMultipathTCP(false)
				var err error
				if network == "tcp4" {
					var l net.Listener
					if l, err = lc.Listen(t.Context(), "tcp4", "127.0.0.1:0"); err == nil {
						l.Close()
					}
				} else {
					var c net.PacketConn
					if c, err = lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0"); err == nil {
						c.Close()
					}
				}
				if fail != nil {
					require.ErrorIs(t, err, errHook)
					assert.Equal(t, []string{"own", "a"}, j.ran)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, []string{"own", "a", "b"}, j.ran)
			})
		}
	}
	var zero net.ListenConfig
	assert.Equal(t, zero, *dialer.WithListen(nil), "no hooks, nothing set")
}

// TestWithConcurrently dials a name with addresses of both families from many
// goroutines with one dialer, so that net runs its hooks several times and at once.
func TestWithConcurrently(t *testing.T) {
	t.Parallel()
	needHooks(t)
	l := listen(t)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	var ran atomic.Int64
	var own atomic.Int64
	d := dialer.With(
		&net.Dialer{Control: func(string, string, syscall.RawConn) error { own.Add(1); return nil }},
		func(context.Context, string, string, syscall.RawConn) error { ran.Add(1); return nil })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c, err := d.Dial("tcp", net.JoinHostPort("localhost", port))
			if assert.NoError(t, err) {
				c.Close()
			}
		})
	}
	wg.Wait()
	assert.GreaterOrEqual(t, ran.Load(), int64(20))
	assert.Equal(t, own.Load(), ran.Load(), "the caller's hook runs as often as ours")
}

// TestWithRetries fails the first socket, which is a Multipath TCP one, so that net
// makes a plain one and runs the hooks again.
func TestWithRetries(t *testing.T) {
	t.Parallel()
	needHooks(t)
	var networks []string
	lc := dialer.WithListen(nil, func(_ context.Context, network, _ string, _ syscall.RawConn) error {
		networks = append(networks, network)
		if len(networks) == 1 {
			return errors.ErrUnsupported
		}
		return nil
	})
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		t.Skip("net does not retry: this system has no Multipath TCP")
	}
	defer l.Close()
	assert.True(t, slices.Equal([]string{"tcp4", "tcp4"}, networks), "ran for %v", networks)
}
