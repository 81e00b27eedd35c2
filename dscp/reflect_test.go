package dscp

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/trial"
)

// TestReflected checks the classes of a group's sockets, apart from the one for DSCP.
func TestReflected(t *testing.T) {
	t.Parallel()
	if !canReflect() {
		t.Skip("this system does not support Reflect")
	}
	for name, tt := range map[string]struct {
		lc   ListenConfig
		want []CodePoint
	}{
		"none":                  {ListenConfig{DSCP: EF}, nil},
		"in their order":        {ListenConfig{Reflect: []CodePoint{EF, AF21, CS1}}, []CodePoint{EF, AF21, CS1}},
		"repeated":              {ListenConfig{Reflect: []CodePoint{EF, AF21, EF}}, []CodePoint{EF, AF21}},
		"DSCP itself":           {ListenConfig{DSCP: EF, Reflect: []CodePoint{EF}}, nil},
		"DF and another":        {ListenConfig{DSCP: EF, Reflect: []CodePoint{DF}}, []CodePoint{DF}},
		"NATSafe":               {ListenConfig{NATSafe: true, Reflect: []CodePoint{AF21, CS1}}, []CodePoint{LowDelay, Throughput}},
		"same with NATSafe":     {ListenConfig{NATSafe: true, Reflect: []CodePoint{AF21, EF, LowDelay}}, []CodePoint{LowDelay}},
		"DSCP with NATSafe":     {ListenConfig{DSCP: EF, NATSafe: true, Reflect: []CodePoint{AF21, 5}}, []CodePoint{5}},
		"all DSCP with NATSafe": {ListenConfig{DSCP: EF, NATSafe: true, Reflect: []CodePoint{AF21, CS7}}, nil},
	} {
		require.NoError(t, tt.lc.Validate(), name)
		assert.Equal(t, tt.want, tt.lc.reflected("tcp"), name)
		for _, network := range []string{"udp", "unix", "ip4:1"} {
			assert.Empty(t, tt.lc.reflected(network), name)
		}
		l, err := tt.lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if tt.want != nil && trial.MinTTL() != nil {
			require.ErrorIs(t, err, errors.ErrUnsupported, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, tt.want == nil, l.(*Listener).group == nil, "%s: without classes the listener has one socket", name)
		require.NoError(t, l.Close())
	}
}

// TestReflectOutOfRange checks that a value above 63 fails before there is a socket.
func TestReflectOutOfRange(t *testing.T) {
	t.Parallel()
	lc := &ListenConfig{Reflect: []CodePoint{EF, 72}}
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer bare.Close()
	for name, try := range map[string]func() error{
		"Listen":       func() error { _, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0"); return err },
		"ListenPacket": func() error { _, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0"); return err },
		"Wrap":         func() error { _, err := lc.Wrap(bare.(*net.TCPListener)); return err },
	} {
		err := try()
		require.ErrorIs(t, err, ErrRange, name)
		require.ErrorContains(t, err, "AF21 (18), see FromTOS", name)
	}
}

// TestReflectOtherNetworks checks that Reflect has no effect on networks other than TCP,
// nor on Marked.
func TestReflectOtherNetworks(t *testing.T) {
	t.Parallel()
	requireHost(t)
	lc := &ListenConfig{DSCP: EF, Reflect: []CodePoint{AF21}}
	l, err := lc.Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	assert.IsType(t, &net.UnixListener{}, l)
	require.NoError(t, l.Close())
	c, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	assert.Equal(t, EF, c.(*UDPConn).DSCP())
	require.NoError(t, c.Close())
	plain, err := lc.Marked().Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	assert.IsType(t, &net.TCPListener{}, plain)
	require.NoError(t, plain.Close())
}

// TestReflectWrap checks that Wrap with Reflect fails.
func TestReflectWrap(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = (&ListenConfig{DSCP: EF, Reflect: []CodePoint{AF21}}).Wrap(l.(*net.TCPListener))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	var unsupported *UnsupportedError
	require.ErrorAs(t, err, &unsupported)
	assert.Equal(t, AF21, unsupported.CodePoint)
	assert.ErrorContains(t, err, l.Addr().String())
	assert.ErrorContains(t, err, "use Listen")
}

// TestReflectElsewhere runs as on a system that cannot mark.
func TestReflectElsewhere(t *testing.T) {
	onUnmarkableHost(t)
	_, err := (&ListenConfig{Reflect: []CodePoint{AF21}}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	var unsupported *UnsupportedError
	require.ErrorAs(t, err, &unsupported)
	assert.Equal(t, AF21, unsupported.CodePoint)
	assert.Equal(t, "SO_ATTACH_REUSEPORT_CBPF", unsupported.Option)
	_, err = (&ListenConfig{Reflect: []CodePoint{DF}}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err, "DF equals DSCP, so there is nothing to reflect")

	l, err := (&ListenConfig{Reflect: []CodePoint{AF21}, AllowUnmarked: true}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
