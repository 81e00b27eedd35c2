package dscp_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/faults"
	"github.com/godscp/godscp/internal/wire"
)

// A faultyListen is a way to listen on TCP.
type faultyListen struct {
	name   string
	listen func(ctx context.Context, address string) (net.Listener, error)
	want   dscp.CodePoint // the mark of every packet that the listener and its conns send
	less   bool           // the packets may also be unmarked
}

func faultyListens() []operation {
	config := func(lc dscp.ListenConfig) func(context.Context, string) (net.Listener, error) {
		return func(ctx context.Context, address string) (net.Listener, error) { return lc.Listen(ctx, "tcp", address) }
	}
	var all []operation
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		for _, l := range []faultyListen{
			{"Listen", config(dscp.ListenConfig{DSCP: dscp.AF21}), dscp.AF21, false},
			{"unmarked", config(dscp.ListenConfig{}), dscp.DF, false},
			{"AllowUnmarked", config(dscp.ListenConfig{DSCP: dscp.AF21, AllowUnmarked: true}), dscp.AF21, true},
			{"Marked", func(ctx context.Context, address string) (net.Listener, error) {
				return (&dscp.ListenConfig{DSCP: dscp.AF21}).Marked().Listen(ctx, "tcp", address)
			}, dscp.AF21, false},
			{"Control", func(ctx context.Context, address string) (net.Listener, error) { // net's default is Multipath TCP
				return (&net.ListenConfig{Control: dscp.Control(dscp.AF21)}).Listen(ctx, "tcp", address)
			}, dscp.AF21, false},
		} {
			all = append(all, operation{"listen/" + address + "/" + l.name, func(t *testing.T, f *fault) { l.meet(t, f, address) }})
		}
		all = append(all, operation{"listen/" + address + "/Reflect", func(t *testing.T, f *fault) { listenReflecting(t, f, address) }})
		all = append(all, operation{"listen/" + address + "/Wrap", func(t *testing.T, f *fault) { wrap(t, f, address) }})
	}
	return all
}

func (fl faultyListen) meet(t *testing.T, f *fault, address string) {
	var l net.Listener
	var err error
	f.during(func() { l, err = fl.listen(t.Context(), address) })
	if err != nil {
		require.Nil(t, l)
		cp := dscp.DF
		if _, marked := f.marking(); marked {
			cp = fl.want // net's own errors name no mark
		}
		f.explains(t, err, "listen", "tcp", "", cp)
		return
	}
	defer l.Close()
	fl.serves(t, f, l, address)
}

// serves checks the marks that a listener sends to a client of each of its families.
func (fl faultyListen) serves(t *testing.T, f *fault, l net.Listener, address string) {
	t.Helper()
	hosts := map[string][]string{"127.0.0.1:0": {"127.0.0.1"}, "[::1]:0": {"::1"}, "[::]:0": {"127.0.0.1", "::1"}}[address]
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, host := range hosts {
		client, err := net.Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		mark := f.sends(t, server, client)
		if !fl.less || mark != dscp.DF {
			assert.Equal(t, fl.want, mark, "on the wire to %s", host)
		}
		if pinned, ok := server.(*dscp.Conn); ok {
			assert.Equal(t, mark, pinned.DSCP(), "DSCP is the mark on the wire")
			require.NoError(t, pinned.Verify())
		}
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	}
}

// sends returns the mark of the SYN-ACK from server to client and of the data that it
// makes server write.
func (f *fault) sends(t *testing.T, server, client net.Conn) dscp.CodePoint {
	t.Helper()
	_, err := server.Write([]byte{'?'})
	require.NoError(t, err)
	from, to := addrPort(server.LocalAddr()), addrPort(client.LocalAddr())
	var octets []uint8
	f.capture.Until(func(p wire.Packet) bool {
		if p.Src != from || p.Dst != to {
			return false
		}
		octets = append(octets, p.TOS)
		return p.Len > 0
	})
	for _, octet := range octets {
		assert.Equal(t, octets[0], octet, "one flow, one mark: %x", octets)
	}
	return dscp.FromTOS(octets[0])
}

// listenReflecting checks that a listener with Reflect either has all of its sockets, which
// answer with their classes, or none.
func listenReflecting(t *testing.T, f *fault, address string) {
	lc := &dscp.ListenConfig{DSCP: dscp.AF21, Reflect: []dscp.CodePoint{dscp.CS1, dscp.EF}}
	var l net.Listener
	var err error
	f.during(func() { l, err = lc.Listen(t.Context(), "tcp", address) })
	// The group calls accept from its own goroutines.
	f.made = slices.DeleteFunc(f.made, func(c faults.Call) bool { return c.Number == unix.SYS_ACCEPT4 })
	if err != nil {
		require.Nil(t, l)
		require.NotEmpty(t, f.failed, "nothing failed: %v", err)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "listen", op.Op)
		assert.Equal(t, 1, strings.Count(err.Error(), "listen tcp"), "%v", err)
		require.ErrorIs(t, err, f.errno)
		for _, c := range f.failed {
			if c.Option(unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF) && (f.errno == unix.ENOPROTOOPT || f.errno == unix.EOPNOTSUPP) {
				require.ErrorIs(t, err, errors.ErrUnsupported)
			}
		}
		return
	}
	defer l.Close()
	for _, c := range f.failed {
		if c.Number == unix.SYS_ACCEPT4 {
			return // closes the listener at once: TestReflectMemberGone
		}
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, cp := range []dscp.CodePoint{dscp.EF, dscp.CS1, dscp.DF, dscp.AF21} {
		host := map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"}[address]
		client, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		assert.Equal(t, answered(lc, cp), f.sends(t, server, client), "on the wire")
		require.NoError(t, errors.Join(client.Close(), server.Close()))
	}
}

// wrap wraps an open listener, which stays open if Wrap fails.
func wrap(t *testing.T, f *fault, address string) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer l.Close()
	var wrapped *dscp.Listener
	f.during(func() { wrapped, err = (&dscp.ListenConfig{DSCP: dscp.AF21}).Wrap(l.(*net.TCPListener)) })
	if err != nil {
		require.Nil(t, wrapped)
		f.explains(t, err, "wrap", "tcp", l.Addr().String(), dscp.AF21)
		return
	}
	faultyListen{want: dscp.AF21}.serves(t, f, wrapped, address)
}

// faultyAccepts accept connections, and pin those that net has accepted.
func faultyAccepts() []operation {
	var all []operation
	for _, fam := range families {
		all = append(all,
			operation{"accept/" + fam.name + "/Accept", func(t *testing.T, f *fault) {
				l, clients := waiting(t, fam)
				defer l.Close()
				defer clients[0].Close()
				defer clients[1].Close()
				var server net.Conn
				var err error
				f.during(func() { server, err = l.Accept() })
				if err != nil {
					require.Nil(t, server)
					f.explains(t, err, "accept, pin", "tcp", l.Addr().String()[len("[::]"):], dscp.DF)
					server, err = l.Accept() // the listener goes on
					require.NoError(t, err)
				}
				defer server.Close()
				for _, c := range clients {
					if addrPort(server.RemoteAddr()) == addrPort(c.LocalAddr()) {
						assert.Equal(t, dscp.EF, f.sends(t, server, c), "on the wire")
						assert.Equal(t, dscp.EF, server.(*dscp.Conn).DSCP())
						if mark, ok := server.(*dscp.Conn).PeerDSCP(); ok {
							assert.Equal(t, dscp.AF21, mark)
						}
						return
					}
				}
				t.Errorf("accepted %v, which is neither client", server.RemoteAddr())
			}},
			operation{"accept/" + fam.name + "/Pin", func(t *testing.T, f *fault) {
				l, clients := waiting(t, fam)
				defer l.Close()
				defer clients[0].Close()
				defer clients[1].Close()
				server, err := l.AcceptTCP()
				require.NoError(t, err)
				defer server.Close()
				var pinned *dscp.Conn
				f.during(func() { pinned, err = dscp.Pin(server) })
				if err != nil {
					require.Nil(t, pinned)
					f.explains(t, err, "pin", "tcp", server.RemoteAddr().String(), dscp.DF)
					pinned, err = dscp.Pin(server) // the conn is still open
					require.NoError(t, err)
				}
				assert.Equal(t, dscp.EF, pinned.DSCP())
				assert.Equal(t, dscp.EF, f.sends(t, server, clients[0]), "on the wire")
			}})
	}
	return all
}

// waiting returns a listener and two clients in its backlog.
func waiting(t *testing.T, fam family) (*dscp.Listener, [2]net.Conn) {
	t.Helper()
	nl, err := (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), fam.network, fam.listen)
	require.NoError(t, err)
	l := nl.(*dscp.Listener)
	require.NoError(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	var clients [2]net.Conn
	for i := range clients {
		clients[i], err = (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", net.JoinHostPort(fam.dial, port))
		require.NoError(t, err)
	}
	return l, clients
}
