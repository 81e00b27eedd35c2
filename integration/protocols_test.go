package integration

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
)

// These tests run protocols over conns that are pinned at both ends, and check the marks
// that the server sees.

func listenEF(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&dscp.ListenConfig{DSCP: dscp.EF}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// checkServerConn checks that c is pinned at EF and, if the system saves SYNs, that the SYN
// had AF21.
func checkServerConn(t *testing.T, c net.Conn) {
	t.Helper()
	conn, ok := dscp.Of(c)
	if !assert.True(t, ok, "%T wraps a pinned conn", c) {
		return
	}
	assert.Equal(t, dscp.EF, conn.DSCP())
	if peer, ok := conn.PeerDSCP(); ok {
		assert.Equal(t, dscp.AF21, peer)
	}
	assert.NoError(t, conn.Verify())
}

func TestPinnedTLS(t *testing.T) {
	t.Parallel()
	l := listenEF(t)
	serverConfig, clientConfig := certificate(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := tls.NewListener(l, serverConfig).Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer c.Close()
		io.Copy(c, c)
		checkServerConn(t, c)
	}()
	raw, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c := tls.Client(raw, clientConfig)
	defer c.Close()
	_, err = io.WriteString(c, "hello")
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
	conn, ok := dscp.Of(c)
	require.True(t, ok)
	assert.Equal(t, dscp.AF21, conn.DSCP())
	require.NoError(t, conn.Verify())
	<-served
}

type connKey struct{}

func servePinned(t *testing.T, l net.Listener, config *tls.Config) {
	t.Helper()
	srv := &http.Server{
		TLSConfig:   config,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			checkServerConn(t, r.Context().Value(connKey{}).(net.Conn))
			if r.URL.Path != "/hijack" {
				n, _ := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "%s %d", r.Proto, n)
				return
			}
			c, rw, err := w.(http.Hijacker).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			defer c.Close()
			checkServerConn(t, c)
			rw.WriteString("hijacked\n")
			rw.Flush()
		}),
	}
	go func() {
		if config != nil {
			srv.ServeTLS(l, "", "")
			return
		}
		srv.Serve(l)
	}()
	t.Cleanup(func() { srv.Close() })
}

func TestPinnedHTTP(t *testing.T) {
	t.Parallel()
	serverConfig, clientConfig := certificate(t)
	for _, tt := range []struct {
		name   string
		server *tls.Config
		scheme string
		want   string
	}{
		{"HTTP/1.1", nil, "http", "HTTP/1.1 100000"},
		{"HTTP/1.1 over TLS", &tls.Config{Certificates: serverConfig.Certificates, NextProtos: []string{"http/1.1"}}, "https", "HTTP/1.1 100000"},
		{"HTTP/2", serverConfig.Clone(), "https", "HTTP/2.0 100000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listenEF(t)
			servePinned(t, l, tt.server)
			transport := &http.Transport{
				DialContext:       (&dscp.Dialer{DSCP: dscp.AF21}).DialContext,
				TLSClientConfig:   clientConfig.Clone(),
				ForceAttemptHTTP2: true, // otherwise a custom DialContext limits http.Transport to HTTP/1.1
			}
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			for range 3 {
				resp, err := client.Post(tt.scheme+"://"+l.Addr().String(), "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				require.NoError(t, err)
				assert.Equal(t, tt.want, string(b))
			}
		})
	}
}

func TestPinnedHTTPHijack(t *testing.T) {
	t.Parallel()
	l := listenEF(t)
	servePinned(t, l, nil)
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hijacked\n", line)
}

func TestPinnedSSH(t *testing.T) {
	t.Parallel()
	l := listenEF(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	serverConfig := &ssh.ServerConfig{NoClientAuth: true}
	serverConfig.AddHostKey(signer)
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer c.Close()
		_, chans, reqs, err := ssh.NewServerConn(c, serverConfig)
		if !assert.NoError(t, err) {
			return
		}
		checkServerConn(t, c)
		go ssh.DiscardRequests(reqs)
		for nc := range chans {
			ch, _, err := nc.Accept()
			if !assert.NoError(t, err) {
				return
			}
			io.Copy(ch, ch)
			ch.Close()
		}
	}()
	raw, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	conn, chans, reqs, err := ssh.NewClientConn(raw, "", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(signer.PublicKey())})
	require.NoError(t, err)
	client := ssh.NewClient(conn, chans, reqs)
	defer client.Close()
	ch, creqs, err := client.OpenChannel("echo", nil)
	require.NoError(t, err)
	go ssh.DiscardRequests(creqs)
	payload := strings.Repeat("y", 200_000)
	go func() {
		io.WriteString(ch, payload)
		ch.CloseWrite()
	}()
	b, err := io.ReadAll(ch)
	require.NoError(t, err)
	assert.Equal(t, payload, string(b))
	require.NoError(t, raw.(*dscp.Conn).Verify())
	client.Close()
	<-served
}
