package dscp_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// A faultyDial is a way to dial TCP.
type faultyDial struct {
	name  string
	dial  func(ctx context.Context, address string) (net.Conn, error)
	marks []dscp.CodePoint // marks that the conn may have; the first is the requested one
}

func faultyDials() []operation {
	fallback := []dscp.CodePoint{dscp.LowDelay, dscp.DF}
	dialer := func(d dscp.Dialer) func(context.Context, string) (net.Conn, error) {
		return func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	only := []dscp.CodePoint{dscp.AF21}
	var all []operation
	for _, f := range families[:2] {
		local := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(f.dial)}}
		for _, d := range []faultyDial{
			{"DialContext", dialer(dscp.Dialer{DSCP: dscp.AF21}), only},
			{"DialTCP", func(ctx context.Context, address string) (net.Conn, error) {
				c, err := (&dscp.Dialer{DSCP: dscp.AF21}).DialTCP(ctx, "tcp", netip.AddrPort{}, netip.MustParseAddrPort(address))
				if err != nil {
					return nil, err
				}
				return c, nil
			}, only},
			{"unmarked", dialer(dscp.Dialer{}), []dscp.CodePoint{dscp.DF}},
			{"AllowUnmarked", dialer(dscp.Dialer{DSCP: dscp.AF21, AllowUnmarked: true}), []dscp.CodePoint{dscp.AF21, dscp.DF}},
			{"local address", dialer(dscp.Dialer{DSCP: dscp.AF21, NetDialer: local}), only},
			{"Fallback", dialer(dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: time.Hour}), append(only, fallback...)},
			{"Fallback at once", dialer(dscp.Dialer{DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 1}), append(only, fallback...)},
			{"Fallback, AllowUnmarked", dialer(dscp.Dialer{
				DSCP: dscp.AF21, Fallback: fallback, FallbackDelay: 1, AllowUnmarked: true,
			}), append(only, fallback...)},
			{"Marked", func(ctx context.Context, address string) (net.Conn, error) {
				return (&dscp.Dialer{DSCP: dscp.AF21}).Marked().DialContext(ctx, "tcp", address)
			}, only},
			{"Control", func(ctx context.Context, address string) (net.Conn, error) {
				return (&net.Dialer{Control: dscp.Control(dscp.AF21)}).DialContext(ctx, "tcp", address)
			}, only},
		} {
			all = append(all, operation{"dial/" + f.name + "/" + d.name, func(t *testing.T, fault *fault) {
				l := listenBriefly(t, f.listen)
				defer l.Close()
				d.meet(t, fault, l, l.Addr().String(), d.name != "Marked" && d.name != "Control")
			}})
		}
	}
	return append(all, operation{"dial/both/name", func(t *testing.T, fault *fault) {
		l := listenBriefly(t, ":0")
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		server, names := openNames(t, func(int) time.Duration { return 0 }, "127.0.0.1", "::1")
		defer server.Close()
		faultyDial{"name", dialer(dscp.Dialer{NetDialer: &net.Dialer{Resolver: names}, DSCP: dscp.AF21}), only}.
			meet(t, fault, l, net.JoinHostPort("many.example", port), true)
	}})
}

// listenBriefly returns a listener that saves SYNs and whose Accept ends after 20 s.
func listenBriefly(t *testing.T, address string) *dscp.Listener {
	t.Helper()
	l, err := (&dscp.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, l.(*dscp.Listener).SetDeadline(time.Now().Add(20*time.Second)))
	return l.(*dscp.Listener)
}

func (d faultyDial) meet(t *testing.T, f *fault, l *dscp.Listener, address string, named bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var c net.Conn
	var err error
	f.during(func() { c, err = d.dial(ctx, address) })
	if err != nil {
		require.Nil(t, c)
		cp := d.marks[0]
		if _, marked := f.marking(); !named && !marked {
			cp = dscp.DF // net's own errors name no mark
		}
		// The error may name any address of the name.
		if host, port, _ := net.SplitHostPort(address); host == "many.example" {
			address = ":" + port
		}
		f.explains(t, err, "dial, pin", "tcp", address, cp)
		return
	}
	defer c.Close()
	peer := accepted(t, l, c)
	defer peer.Close()
	mark, ok := peer.PeerDSCP()
	require.True(t, ok)
	assert.Contains(t, d.marks, mark, "on the wire")
	pinned, ok := c.(*dscp.Conn)
	if !ok {
		assert.Equal(t, d.marks[0], mark, "on the wire")
		return
	}
	assert.Equal(t, mark, pinned.DSCP(), "DSCP is the mark of the SYN")
	require.NoError(t, pinned.Verify())
}

// accepted returns the other end of c. It closes the conns of attempts that c won
// against.
func accepted(t *testing.T, l *dscp.Listener, c net.Conn) *dscp.Conn {
	t.Helper()
	for {
		peer, err := l.Accept()
		require.NoError(t, err)
		if c.LocalAddr() == nil || addrPort(peer.RemoteAddr()) == addrPort(c.LocalAddr()) {
			return peer.(*dscp.Conn)
		}
		require.NoError(t, peer.Close())
	}
}
