package integration

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// dialFunc is the type of a dial function.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// recorder keeps conns.
type recorder struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (r *recorder) add(c net.Conn, err error) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
	return c, err
}

// only returns the conn that was added and fails the test unless there is exactly one.
func (r *recorder) only(t *testing.T) net.Conn {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.conns, 1)
	return r.conns[0]
}

// recording is a listener that keeps the conns that it accepts.
type recording struct {
	net.Listener
	recorder *recorder
}

func (r recording) Accept() (net.Conn, error) { return r.recorder.add(r.Listener.Accept()) }

func userTimeout(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var ms int
	var operr error
	require.NoError(t, raw.Control(func(fd uintptr) {
		ms, operr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}))
	require.NoError(t, operr)
	return time.Duration(ms) * time.Millisecond
}

// TestGRPC runs calls over pinned and over bare conns, and shows a limit: grpc-go sets
// TCP_USER_TIMEOUT for its keep-alive only on a *net.TCPConn, and reports no error for
// other conns. A hook can set it.
func TestGRPC(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const timeout = 7 * time.Second
	pinned := &dscp.Dialer{DSCP: clientMark}
	withHook := &dscp.Dialer{DSCP: clientMark, NetDialer: &net.Dialer{
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
			})
			if cerr != nil {
				return cerr
			}
			return err
		},
	}}
	lc := &dscp.ListenConfig{DSCP: serverMark}
	serverTLS, clientTLS := certificate(t, "h2")
	for _, tt := range []struct {
		name           string
		dial           dialFunc
		listen         func(ctx context.Context, network, address string) (net.Listener, error)
		client, server time.Duration // TCP_USER_TIMEOUT
		tls            bool
	}{
		{"pinned", pinned.DialContext, lc.Listen, 0, 0, false},
		{"pinned, TLS", pinned.DialContext, lc.Listen, 0, 0, true},
		{"marked", pinned.Marked().DialContext, lc.Marked().Listen, timeout, timeout, false},
		{"marked, TLS", pinned.Marked().DialContext, lc.Marked().Listen, timeout, timeout, true},
		{"pinned, with a hook", withHook.DialContext, lc.Listen, timeout, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := tt.listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			w := watching(t, l.Addr())
			serverCreds, clientCreds := insecure.NewCredentials(), insecure.NewCredentials()
			if tt.tls {
				serverCreds, clientCreds = credentials.NewTLS(serverTLS), credentials.NewTLS(clientTLS)
			}
			dialed, accepted := &recorder{}, &recorder{}

			srv := grpc.NewServer(grpc.Creds(serverCreds), grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: timeout}))
			grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
			served := make(chan error, 1)
			go func() { served <- srv.Serve(recording{l, accepted}) }()

			cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(),
				grpc.WithTransportCredentials(clientCreds),
				grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: timeout}),
				grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					return dialed.add(tt.dial(ctx, "tcp", addr))
				}))
			require.NoError(t, err)
			client := grpc_health_v1.NewHealthClient(cc)
			for range 10 {
				resp, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
				require.NoError(t, err)
				assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, resp.Status)
			}
			assert.Equal(t, tt.client, userTimeout(t, dialed.only(t)), "client")
			assert.Equal(t, tt.server, userTimeout(t, accepted.only(t)), "server")
			if conn, ok := dscp.Of(dialed.only(t)); ok {
				assert.Equal(t, clientMark, conn.DSCP())
				assert.NoError(t, conn.Verify())
			}
			require.NoError(t, cc.Close())
			srv.GracefulStop()
			require.NoError(t, <-served)
			w.flows(1, clientMark)
		})
	}
}
