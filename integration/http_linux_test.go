package integration

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// serveHTTP answers each request with its protocol and the length of its body.
func serveHTTP(t *testing.T, l net.Listener, config *tls.Config) *http.Server {
	t.Helper()
	srv := &http.Server{TLSConfig: config, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", r.Proto, n)
	})}
	go func() {
		if config != nil {
			srv.ServeTLS(l, "", "")
			return
		}
		srv.Serve(l)
	}()
	t.Cleanup(func() { srv.Close() })
	return srv
}

func post(t *testing.T, transport *http.Transport, url string) string {
	t.Helper()
	resp, err := (&http.Client{Transport: transport}).Post(url, "text/plain", strings.NewReader(strings.Repeat("x", 300_000)))
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	return string(b)
}

func TestHTTP(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, tt := range []struct {
		name   string
		scheme string
		force  bool
		want   string
	}{
		{"HTTP/1.1", "http", true, "HTTP/1.1 300000"},
		{"HTTP/2", "https", true, "HTTP/2.0 300000"},
		// With a custom DialContext http.Transport offers HTTP/2 only if ForceAttemptHTTP2 is set.
		{"TLS without ForceAttemptHTTP2", "https", false, "HTTP/1.1 300000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t)
			w := watching(t, l.Addr())
			serverTLS, clientTLS := certificate(t)
			if tt.scheme == "http" {
				serverTLS = nil
			}
			srv := serveHTTP(t, l, serverTLS)
			transport := &http.Transport{
				DialContext:       (&dscp.Dialer{DSCP: clientMark}).DialContext,
				TLSClientConfig:   clientTLS,
				ForceAttemptHTTP2: tt.force,
			}
			for range 3 {
				assert.Equal(t, tt.want, post(t, transport, tt.scheme+"://"+l.Addr().String()))
			}
			transport.CloseIdleConnections()
			require.NoError(t, srv.Close())
			w.flows(1, clientMark) // one connection for all requests
		})
	}
}

// forward runs an HTTP proxy on l that marks the connections that it dials.
func forward(t *testing.T, l net.Listener) *http.Server {
	t.Helper()
	out := &dscp.Dialer{DSCP: proxyMark}
	transport := &http.Transport{DialContext: out.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	plain := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: transport}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			plain.ServeHTTP(w, r)
			return
		}
		origin, err := out.DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer origin.Close()
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		rw.WriteString("HTTP/1.1 200 OK\r\n\r\n")
		rw.Flush()
		go func() {
			io.Copy(origin, rw)
			origin.(*dscp.Conn).CloseWrite()
		}()
		io.Copy(c, origin)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return srv
}

func TestHTTPProxy(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			proxyListener, originListener := listen(t), listen(t)
			near, far := watching(t, proxyListener.Addr()), watching(t, originListener.Addr())
			proxy := forward(t, proxyListener)
			serverTLS, clientTLS := certificate(t)
			want := "HTTP/2.0 300000" // through the tunnel
			if scheme == "http" {
				serverTLS, want = nil, "HTTP/1.1 300000"
			}
			origin := serveHTTP(t, originListener, serverTLS)
			transport := &http.Transport{
				DialContext:       (&dscp.Dialer{DSCP: clientMark}).DialContext,
				TLSClientConfig:   clientTLS,
				ForceAttemptHTTP2: true,
				Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: proxyListener.Addr().String()}),
			}
			assert.Equal(t, want, post(t, transport, scheme+"://"+originListener.Addr().String()))
			transport.CloseIdleConnections()
			require.NoError(t, origin.Close())
			require.NoError(t, proxy.Close())
			near.flows(1, clientMark)
			far.flows(1, proxyMark)
		})
	}
}

// TestTLSDialer gives a marked net.Dialer to tls.Dialer, which takes no other type.
func TestTLSDialer(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l := listen(t)
	w := watching(t, l.Addr())
	serverTLS, clientTLS := certificate(t)
	served := make(chan error, 1)
	go func() {
		c, err := tls.NewListener(l, serverTLS).Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			c.Close()
		}
		served <- err
	}()
	d := tls.Dialer{NetDialer: (&dscp.Dialer{DSCP: clientMark}).Marked(), Config: clientTLS}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	_, ok := dscp.Of(c)
	assert.False(t, ok, "the conn is not pinned")
	conn, err := dscp.Pin(c.(*tls.Conn).NetConn().(*net.TCPConn))
	require.NoError(t, err)
	assert.Equal(t, clientMark, conn.DSCP(), "the conn is marked")
	payload := strings.Repeat("y", 300_000)
	go func() {
		io.WriteString(c, payload)
		c.(*tls.Conn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, payload, string(b))
	require.NoError(t, c.Close())
	require.NoError(t, <-served)
	w.flows(1, clientMark)
}
