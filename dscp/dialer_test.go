package dscp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/trial"
)

func TestSYNCarriesEveryCodePoint(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range loopbacks(t) {
		l := listenOn(t, &ListenConfig{}, addr)
		for cp := range CodePoint(64) {
			client, server := pair(t, &Dialer{DSCP: cp}, l)
			assert.Equal(t, cp, client.DSCP())
			peer, ok := server.PeerDSCP()
			if runtime.GOOS == "linux" && trial.SavedSYN() == nil {
				require.True(t, ok, "the kernel saves SYNs")
			}
			if ok {
				assert.Equal(t, cp, peer, "%s: mark of the SYN", addr)
			}
			assert.Equal(t, DF, server.DSCP())
			_, ok = client.PeerDSCP()
			assert.False(t, ok, "a dialled conn received no SYN")
			require.NoError(t, client.Verify())
			client.Close()
			server.Close()
		}
	}
}

func TestNATSafeDials(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{DSCP: CS1, NATSafe: true}, "127.0.0.1:0")
	client, server := pair(t, &Dialer{DSCP: AF21, NATSafe: true}, l)
	assert.Equal(t, LowDelay, client.DSCP())
	assert.Equal(t, Throughput, server.DSCP())
}

func TestDialTCPAndUDP(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range loopbacks(t) {
		l := listenOn(t, &ListenConfig{DSCP: EF}, addr)
		d := &Dialer{DSCP: AF21}
		c, err := d.DialTCP(t.Context(), "tcp", netip.AddrPort{}, netip.MustParseAddrPort(l.Addr().String()))
		require.NoError(t, err)
		defer c.Close()
		assert.Equal(t, AF21, c.DSCP())
		s, err := l.Accept()
		require.NoError(t, err)
		defer s.Close()
		if peer, ok := s.(*Conn).PeerDSCP(); ok {
			assert.Equal(t, AF21, peer)
		}
		u, err := d.DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort(l.Addr().String()))
		require.NoError(t, err)
		defer u.Close()
		assert.Equal(t, AF21, u.DSCP())
	}
}

// TestDialReportsInvalidInput checks that each mistake is an error that names it.
func TestDialReportsInvalidInput(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	good := l.Addr().String()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	errHook := errors.New("the caller's own hook")
	tests := []struct {
		name     string
		dialer   *Dialer
		ctx      context.Context
		network  string
		address  string
		is       error
		mentions []string
	}{
		{"code point above 63", &Dialer{DSCP: 0x48}, nil, "tcp", good, ErrRange, []string{"dial tcp", good, "AF21 (18), see FromTOS"}},
		{"code point above 63, NATSafe", &Dialer{DSCP: 72, NATSafe: true}, nil, "tcp", good, ErrRange, nil},
		{"code point above 63, AllowUnmarked", &Dialer{DSCP: 72, AllowUnmarked: true}, nil, "tcp", good, ErrRange, nil},
		{"code point above 63 on a unix socket", &Dialer{DSCP: 72}, nil, "unix", "/x", ErrRange, nil},
		{"nil Dialer", nil, nil, "tcp", good, errNilDialer, []string{good}},
		{"cancelled context", &Dialer{DSCP: AF21}, cancelled, "tcp", good, context.Canceled, []string{good, "AF21"}},
		{"unresolvable host", &Dialer{DSCP: AF21}, nil, "tcp", "host.invalid:22", nil, []string{"host.invalid"}},
		{"no port", &Dialer{DSCP: AF21}, nil, "tcp", "127.0.0.1", nil, []string{"127.0.0.1", "missing port"}},
		{"empty address", &Dialer{DSCP: AF21}, nil, "tcp", "", nil, []string{"missing address"}},
		{"empty network", &Dialer{DSCP: AF21}, nil, "", good, net.UnknownNetworkError(""), nil},
		{"unknown network", &Dialer{DSCP: AF21}, nil, "sctp", good, net.UnknownNetworkError("sctp"), nil},
		{"address of the wrong family", &Dialer{DSCP: AF21}, nil, "tcp6", good, nil, []string{"no suitable address"}},
		{"the caller's hook fails", &Dialer{DSCP: AF21, NetDialer: &net.Dialer{
			Control: func(string, string, syscall.RawConn) error { return errHook },
		}}, nil, "tcp", good, errHook, []string{good, "AF21"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			c, err := tt.dialer.DialContext(ctx, tt.network, tt.address)
			require.Error(t, err)
			assert.True(t, c == nil, "no typed nil")
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, "dial", op.Op)
			for _, m := range tt.mentions {
				assert.ErrorContains(t, err, m)
			}
		})
	}
}

// TestValidate checks that Validate reports what fails every dial or listener, and
// nothing else.
func TestValidate(t *testing.T) {
	t.Parallel()
	negative := &Dialer{DSCP: AF21, FallbackDelay: -time.Second}
	for name, tt := range map[string]struct {
		validate func() error
		is       error
		mentions string
	}{
		"nil Dialer":              {(*Dialer)(nil).Validate, errNilDialer, "nil Dialer"},
		"DSCP":                    {(&Dialer{DSCP: 72}).Validate, ErrRange, "Dialer.DSCP"},
		"DSCP with NATSafe":       {(&Dialer{DSCP: 64, NATSafe: true}).Validate, ErrRange, "CS2 (16), see FromTOS"},
		"DSCP with AllowUnmarked": {(&Dialer{DSCP: 255, AllowUnmarked: true}).Validate, ErrRange, "255"},
		"Fallback":                {(&Dialer{Fallback: []CodePoint{DF, 64}}).Validate, ErrRange, "Dialer.Fallback[1]"},
		"FallbackDelay":           {negative.Validate, errNegativeDelay, "-1s"},
		"nil ListenConfig":        {(*ListenConfig)(nil).Validate, errNilListenConfig, "nil ListenConfig"},
		"listener's DSCP":         {(&ListenConfig{DSCP: 72}).Validate, ErrRange, "ListenConfig.DSCP"},
		"Dialer's Datagrams":      {(&Dialer{Datagrams: []CodePoint{63, 72}}).Validate, ErrRange, "Dialer.Datagrams[1]"},
		"listener's Datagrams":    {(&ListenConfig{Datagrams: []CodePoint{72}}).Validate, ErrRange, "ListenConfig.Datagrams[0]"},
		"Reflect":                 {(&ListenConfig{Reflect: []CodePoint{EF, 64}}).Validate, ErrRange, "ListenConfig.Reflect[1]"},
		"zero Dialer":             {new(Dialer).Validate, nil, ""},
		"zero ListenConfig":       {new(ListenConfig).Validate, nil, ""},
		"highest Dialer":          {(&Dialer{DSCP: 63, NATSafe: true, Fallback: []CodePoint{63, 63, DF}, FallbackDelay: 1, Datagrams: []CodePoint{63, 63, DF}}).Validate, nil, ""},
		"highest ListenConfig":    {(&ListenConfig{DSCP: 63, Reflect: []CodePoint{63, DF, AF21, EF, EF}, NATSafe: true, Datagrams: []CodePoint{63, 63, DF}}).Validate, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.validate()
			if tt.is == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.mentions)
			assert.Equal(t, 1, strings.Count(err.Error(), "dscp:"), "%v", err)
		})
	}
	for cp := range CodePoint(255) {
		assert.Equal(t, cp.Valid(), (&Dialer{DSCP: cp}).Validate() == nil)
		assert.Equal(t, cp.Valid(), (&Dialer{Fallback: []CodePoint{cp}}).Validate() == nil)
		assert.Equal(t, cp.Valid(), (&ListenConfig{DSCP: cp}).Validate() == nil)
		assert.Equal(t, cp <= 63, cp.Valid())
	}
	requireHost(t)
	for _, d := range []*Dialer{nil, {DSCP: 64}, {DSCP: AF21, Fallback: []CodePoint{64}}, negative} {
		_, err := d.Dial("tcp", "127.0.0.1:1")
		require.Error(t, d.Validate())
		require.Error(t, err)
	}
}

func TestInvalidInputIsAnErrorEverywhere(t *testing.T) {
	t.Parallel()
	requireHost(t)
	ctx := t.Context()
	ap := netip.MustParseAddrPort("127.0.0.1:1")
	bad := &Dialer{DSCP: 64}
	_, err := bad.Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, ErrRange)
	_, err = bad.DialTCP(ctx, "tcp", netip.AddrPort{}, ap)
	require.ErrorIs(t, err, ErrRange)
	_, err = bad.DialUDP(ctx, "udp", netip.AddrPort{}, ap)
	require.ErrorIs(t, err, ErrRange)
	_, err = bad.Marked().Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, ErrRange)
	_, err = (*Dialer)(nil).Marked().Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, errNilDialer)
	_, err = (&net.Dialer{Control: Control(64)}).Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, ErrRange)

	badLC := &ListenConfig{DSCP: 64}
	_, err = badLC.Listen(ctx, "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, ErrRange)
	_, err = badLC.ListenPacket(ctx, "udp", "127.0.0.1:0")
	require.ErrorIs(t, err, ErrRange)
	_, err = badLC.Marked().Listen(ctx, "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, ErrRange)
	_, err = (*ListenConfig)(nil).Listen(ctx, "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, errNilListenConfig)
	_, err = (*ListenConfig)(nil).Marked().Listen(ctx, "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, errNilListenConfig)
	_, err = (&ListenConfig{}).Wrap(nil)
	require.Error(t, err)
	_, err = Pin(nil)
	require.Error(t, err)
	_, err = PinUDP(nil)
	require.Error(t, err)
	_, err = (&ListenConfig{}).WrapPacket(nil)
	require.Error(t, err)
	_, err = (&ListenConfig{DSCP: EF}).WrapPacket(new(net.UDPConn))
	require.Error(t, err)
	_, err = PinUDP(new(net.UDPConn))
	require.Error(t, err)

	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	_, err = badLC.Wrap(l.(*Listener).TCPListener)
	require.ErrorIs(t, err, ErrRange)
	client, _ := pair(t, &Dialer{}, l)
	require.NoError(t, client.TCPConn.Close())
	_, err = Pin(client.TCPConn)
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, l.Close())
	_, err = (&ListenConfig{DSCP: EF}).Wrap(l.(*Listener).TCPListener)
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestDialKeepsNetErrors checks that the added code point does not change the type, the
// address and Timeout of net's errors, nor what errors.Is finds.
func TestDialKeepsNetErrors(t *testing.T) {
	t.Parallel()
	requireHost(t)
	closed := nobody.Listens(t, "127.0.0.1:0")

	_, err := (&Dialer{}).Dial("tcp", closed)
	_, bare := net.Dial("tcp", closed)
	assert.Equal(t, bare.Error(), err.Error(), "a zero Dialer's errors are net's own")

	_, err = (&Dialer{DSCP: AF21}).Dial("tcp", closed)
	op, ok := err.(*net.OpError)
	require.True(t, ok)
	assert.Equal(t, closed, op.Addr.String())
	var refused *os.SyscallError
	require.ErrorAs(t, bare, &refused)
	require.ErrorIs(t, err, refused.Err)
	require.ErrorContains(t, err, "with DSCP AF21: ")
	_, marking := errors.AsType[*MarkError](err)
	assert.False(t, marking, "the mark is not the reason")
	assert.False(t, op.Timeout())

	_, err = (&Dialer{DSCP: AF21, NetDialer: &net.Dialer{Deadline: time.Unix(1, 0)}}).Dial("tcp", closed)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ne, ok := err.(net.Error)
	require.True(t, ok)
	assert.True(t, ne.Timeout())
	require.ErrorContains(t, err, "AF21")
	_, marking = errors.AsType[*MarkError](err)
	assert.False(t, marking)
}

func TestCallersDialerUnchanged(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	own := &net.Dialer{KeepAlive: 7 * time.Second, Timeout: time.Minute}
	own.SetMultipathTCP(true)
	before := *own
	d := &Dialer{NetDialer: own, DSCP: AF21}
	for range 3 {
		client, _ := pair(t, d, l)
		assert.Equal(t, AF21, client.DSCP())
	}
	assert.Equal(t, before, *own)
	assert.Equal(t, Dialer{NetDialer: own, DSCP: AF21}, *d)
	marked := d.Marked()
	assert.Equal(t, own.Timeout, marked.Timeout)
	assert.False(t, marked.MultipathTCP(), "Linux cannot mark IPv6 on it")
	assert.True(t, (&Dialer{NetDialer: own}).Marked().MultipathTCP(), "a zero DSCP keeps the caller's setting")
	assert.NotSame(t, marked, d.Marked(), "each call returns a new net.Dialer")
	assert.NotSame(t, own, (&Dialer{NetDialer: own}).Marked(), "also with a zero DSCP")
}

func TestUnixPassesThrough(t *testing.T) {
	t.Parallel()
	requireHost(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := (&ListenConfig{DSCP: EF}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	defer l.Close()
	assert.IsType(t, &net.UnixListener{}, l)
	c, err := (&Dialer{DSCP: AF21}).Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	assert.IsType(t, &net.UnixConn{}, c)

	_, err = (&Dialer{DSCP: AF21}).Dial("unix", path+"none")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, marked := errors.AsType[*dialError](err)
	assert.False(t, marked, "nothing was marked: %v", err)

	pc, err := (&ListenConfig{DSCP: EF}).ListenPacket(t.Context(), "unixgram", path+"gram")
	require.NoError(t, err)
	defer pc.Close()
	assert.IsType(t, &net.UnixConn{}, pc)
}

func TestZeroDialerPinsMarkOfHook(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{NetListenConfig: &net.ListenConfig{Control: Control(CS2)}}, "127.0.0.1:0")
	client, server := pair(t, &Dialer{NetDialer: &net.Dialer{Control: Control(AF31)}}, l)
	assert.Equal(t, AF31, client.DSCP(), "the caller's own hook marked it")
	assert.Equal(t, CS2, server.DSCP())
	require.ErrorIs(t, client.SetDSCP(AF21), ErrMidFlow)
	require.NoError(t, client.SetDSCP(AF31))
}

func TestControlOfDFDoesNothing(t *testing.T) {
	t.Parallel()
	assert.NoError(t, Control(DF)("tcp4", "127.0.0.1:1", nil))
	assert.NoError(t, Control(AF21)("unix", "/x", nil))
}

// TestDialConcurrently dials a name with addresses of both families from many
// goroutines through one Dialer.
func TestDialConcurrently(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, ":0")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	d := &Dialer{DSCP: AF21, NetDialer: &net.Dialer{FallbackDelay: time.Nanosecond}}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			c, err := d.Dial("tcp", net.JoinHostPort("localhost", port))
			if assert.NoError(t, err) {
				assert.Equal(t, AF21, c.(*Conn).DSCP())
				c.Close()
			}
		})
	}
	wg.Wait()
}
