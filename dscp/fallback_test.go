//go:build unix

package dscp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/nobody"
)

// listenSaving returns a listener that saves SYNs.
func listenSaving(t *testing.T, address string) net.Listener {
	t.Helper()
	var lc dscp.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// accept returns the next conn of l.
func accept(t *testing.T, l net.Listener) *dscp.Conn {
	t.Helper()
	require.NoError(t, l.(*dscp.Listener).SetDeadline(time.Now().Add(time.Minute)))
	c, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*dscp.Conn)
}

// countSockets returns a net.Dialer that counts the sockets it makes.
func countSockets() (*net.Dialer, *atomic.Int32) {
	var n atomic.Int32
	return &net.Dialer{Control: func(string, string, syscall.RawConn) error {
		n.Add(1)
		return nil
	}}, &n
}

// dials are the ways to dial TCP.
var dials = map[string]func(d *dscp.Dialer, ctx context.Context, address string) (*dscp.Conn, error){
	"DialContext": func(d *dscp.Dialer, ctx context.Context, address string) (*dscp.Conn, error) {
		c, err := d.DialContext(ctx, "tcp", address)
		if c == nil {
			return nil, err
		}
		return c.(*dscp.Conn), err
	},
	"DialTCP": func(d *dscp.Dialer, ctx context.Context, address string) (*dscp.Conn, error) {
		return d.DialTCP(ctx, "tcp", netip.AddrPort{}, netip.MustParseAddrPort(address))
	},
}

// attemptErrors returns the errors of the attempts of a dial with several marks.
func attemptErrors(err error) []error {
	op, ok := err.(*net.OpError)
	if !ok {
		return nil
	}
	attempts, ok := op.Err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	return attempts.Unwrap()
}

// TestFallbackUnused checks that a dial whose first mark connects makes one socket and
// one connection.
func TestFallbackUnused(t *testing.T) {
	for name, dial := range dials {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(name+" "+address, func(t *testing.T) {
				l := listenSaving(t, address)
				nd, sockets := countSockets()
				d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}
				c, err := dial(&d, t.Context(), l.Addr().String())
				require.NoError(t, err)
				defer c.Close()
				assert.Equal(t, dscp.AF21, c.DSCP())
				assert.EqualValues(t, 1, sockets.Load())
				assert.Equal(t, c.LocalAddr().String(), accept(t, l).RemoteAddr().String())
				require.ErrorIs(t, c.SetDSCP(dscp.DF), dscp.ErrMidFlow, "the conn is pinned")
			})
		}
	}
}

// TestFallbackRefusedBeforeASocket checks that an invalid field fails every dial before
// there is a socket.
func TestFallbackRefusedBeforeASocket(t *testing.T) {
	nd, sockets := countSockets()
	for name, tt := range map[string]struct {
		dialer dscp.Dialer
		is     error
		text   string
	}{
		"DSCP":           {dscp.Dialer{DSCP: 72, Fallback: []dscp.CodePoint{dscp.DF}}, dscp.ErrRange, "72 is not in 0-63"},
		"a later mark":   {dscp.Dialer{DSCP: dscp.EF, Fallback: []dscp.CodePoint{dscp.AF21, 72}}, dscp.ErrRange, "AF21 (18), see FromTOS"},
		"NATSafe":        {dscp.Dialer{NATSafe: true, Fallback: []dscp.CodePoint{200}}, dscp.ErrRange, "200 is not in 0-63"},
		"negative delay": {dscp.Dialer{FallbackDelay: -1}, nil, "negative FallbackDelay"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.dialer.NetDialer = nd
			_, tcp := tt.dialer.Dial("tcp", "127.0.0.1:9")
			_, udp := tt.dialer.Dial("udp", "127.0.0.1:9")
			_, dialTCP := tt.dialer.DialTCP(t.Context(), "tcp", netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:9"))
			_, dialUDP := tt.dialer.DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:9"))
			for _, err := range []error{tcp, udp, dialTCP, dialUDP} {
				require.ErrorContains(t, err, tt.text)
				require.ErrorContains(t, err, "127.0.0.1:9")
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				}
				assert.IsType(t, (*net.OpError)(nil), err)
			}
		})
	}
	assert.Zero(t, sockets.Load())
}

// TestFallbackConnectionRefused checks that every mark is tried on a closed port, and
// that the error is net's.
func TestFallbackConnectionRefused(t *testing.T) {
	address := nobody.Listens(t, "127.0.0.1:0")
	for name, dial := range dials {
		t.Run(name, func(t *testing.T) {
			nd, sockets := countSockets()
			_, want := dial(new(dscp.Dialer), t.Context(), address)
			require.ErrorContains(t, want, "refused")

			d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}, FallbackDelay: time.Hour}
			_, err := dial(&d, t.Context(), address)
			require.EqualError(t, err, want.Error())
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.Empty(t, attemptErrors(err), "no errors of single attempts")
			op, ok := err.(*net.OpError)
			require.True(t, ok)
			assert.IsType(t, (*os.SyscallError)(nil), op.Err, "the error names no mark, which is not the cause")
			assert.False(t, op.Timeout())
			assert.EqualValues(t, 3, sockets.Load(), "one socket for each mark")
		})
	}
}

func TestFallbackCancelledBefore(t *testing.T) {
	l := listenSaving(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nd, sockets := countSockets()
	d := dscp.Dialer{NetDialer: nd, DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}
	for name, dial := range dials {
		t.Run(name, func(t *testing.T) {
			_, err := dial(&d, ctx, l.Addr().String())
			require.ErrorIs(t, err, context.Canceled)
			assert.LessOrEqual(t, sockets.Swap(0), int32(1)) // net's DialTCP makes a socket before it looks at ctx
		})
	}
}

// TestFallbackOwnHookFails checks that an error of the caller's own hook ends the dial
// and is returned.
func TestFallbackOwnHookFails(t *testing.T) {
	mine := errors.New("mine")
	calls := 0
	d := dscp.Dialer{
		NetDialer: &net.Dialer{Control: func(string, string, syscall.RawConn) error { calls++; return mine }},
		DSCP:      dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF},
	}
	_, err := d.Dial("tcp", "127.0.0.1:9")
	require.ErrorIs(t, err, mine)
	assert.Empty(t, attemptErrors(err))
	assert.Equal(t, 1, calls)
}

// TestFallbackUDP checks that UDP uses the first mark only, because a UDP connect has no
// handshake.
func TestFallbackUDP(t *testing.T) {
	d := dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}
	c, err := d.Dial("udp", "127.0.0.1:9")
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, dscp.AF21, c.(*dscp.UDPConn).DSCP())
}

func TestFallbackNotInMarked(t *testing.T) {
	d := dscp.Dialer{DSCP: dscp.AF21, FallbackDelay: time.Minute, Fallback: []dscp.CodePoint{dscp.DF}}
	assert.Zero(t, d.Marked().FallbackDelay, "net.Dialer.FallbackDelay has another meaning")
}

// TestMemoryAddsNoMark checks that a Memory, which other Dialers may share, neither adds
// a mark to those of the Dialer nor removes one. It only chooses which is tried first.
func TestMemoryAddsNoMark(t *testing.T) {
	l := listenSaving(t, "127.0.0.1:0")
	for works, want := range map[dscp.CodePoint]dscp.CodePoint{dscp.CS7: dscp.AF21, dscp.EF: dscp.AF21, dscp.LowDelay: dscp.LowDelay, dscp.DF: dscp.DF} {
		var m dscp.Memory
		m.Learn("tcp", l.Addr().String(), dscp.AF21, works)
		d := dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}, Memory: &m}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		assert.Equal(t, want, c.(*dscp.Conn).DSCP(), works)
		require.NoError(t, c.Close())
	}
}
