package dscp

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// recorder is a RawConn that notes whose closures it is given.
type recorder struct {
	syscall.RawConn
	origins *[]origin
}

func (r recorder) Control(f func(uintptr)) error {
	*r.origins = append(*r.origins, originOf(f))
	return r.RawConn.Control(f)
}

func (r recorder) Read(f func(uintptr) bool) error {
	*r.origins = append(*r.origins, originOf(f))
	return r.RawConn.Read(f)
}

func (r recorder) Write(f func(uintptr) bool) error {
	*r.origins = append(*r.origins, originOf(f))
	return r.RawConn.Write(f)
}

// TestXNetClosuresAreKnown is a drift test: it fails when x/net or the compiler
// names the closures otherwise, and the guard would have to watch them instead
// of trying them elsewhere.
func TestXNetClosuresAreKnown(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	var seen []origin
	x := rawTCPConn{c.TCPConn, recorder{c.pin.raw, &seen}}
	v4, v6 := ipv4.NewConn(x), ipv6.NewConn(x)
	require.NoError(t, v4.SetTOS(0x48))
	_, err := v4.TOS()
	require.NoError(t, err)
	v6.SetTrafficClass(0x48)
	v6.TrafficClass()
	require.NoError(t, v4.SetTTL(3))
	assert.Equal(t, []origin{xnetSet, xnetGet, xnetSet, xnetGet, xnetSet}, seen)

	assert.Equal(t, unknown, originOf(func(uintptr) {}))
	assert.Equal(t, unknown, originOf(func(uintptr) bool { return true }))

	seen = nil
	pc, err := (&ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	u := pc.(*UDPConn)
	p4 := ipv4.NewPacketConn(udpRecorder{u, recorder{u.pin.raw, &seen}})
	_, err = p4.WriteBatch([]ipv4.Message{{Buffers: [][]byte{{1}}, Addr: u.LocalAddr()}}, 0)
	require.NoError(t, err)
	_, err = p4.ReadBatch([]ipv4.Message{{Buffers: [][]byte{make([]byte, 1)}}}, 0)
	require.NoError(t, err)
	for i, o := range seen {
		assert.Equal(t, xnetIO, o, "call %d", i)
	}
	assert.NotEmpty(t, seen)
}

// TestRefusedOptionNeverReachesTheFlow listens in on the raw conn behind the
// guard: what the trial refuses must not run on it.
func TestRefusedOptionNeverReachesTheFlow(t *testing.T) {
	t.Parallel()
	requireHost(t)
	c, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	var seen []origin
	c.pin.raw = recorder{c.pin.raw, &seen}
	require.ErrorIs(t, ipv4.NewConn(c).SetTOS(int(CS1.TOS())), ErrMidFlow)
	assert.NotContains(t, seen, xnetSet)
	require.NoError(t, ipv4.NewConn(c).SetTTL(44))
	ttl, err := ipv4.NewConn(c).TTL()
	require.NoError(t, err)
	assert.Equal(t, 44, ttl, "what is harmless does")
}

// TestVendoredXNetIsKnown has the names that the closures have in a program that
// vendors x/net.
func TestVendoredXNetIsKnown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]origin{
		"golang.org/x/net/internal/socket.(*Option).set.func1":                           xnetSet,
		"example.com/prog/vendor/golang.org/x/net/internal/socket.(*Option).set.func1":   xnetSet,
		"example.com/prog/vendor/golang.org/x/net/internal/socket.(*Option).get.func1":   xnetGet,
		"example.com/prog/vendor/golang.org/x/net/internal/socket.(*Conn).sendMsg.func1": xnetIO,
		"golang.org/x/net/internal/socket.(*Option).set.func2":                           unknown,
		"example.com/socket.(*Option).set.func1":                                         unknown,
	} {
		assert.Equal(t, want, originOfName(name), name)
	}
}

type udpRecorder struct {
	*UDPConn
	raw recorder
}

func (u udpRecorder) SyscallConn() (syscall.RawConn, error) { return u.raw, nil }

// TestNoTrialSocket has the making of a trial socket fail: then nothing is
// known of the closure, and the flow must not be touched.
func TestNoTrialSocket(t *testing.T) {
	requireHost(t) // elsewhere nothing runs before a socket is bound
	t.Parallel()
	boom := errors.New("boom")
	err := onTrialSocket(false, func(uintptr) error { return fmt.Errorf("trial: %w", boom) })
	require.ErrorIs(t, err, boom)
}
