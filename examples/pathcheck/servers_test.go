package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// listen listens on address until the test ends and hands each connection to
// handle, which need not close it.
func listen(t *testing.T, address string, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String()
}

// sshServer accepts every client, and every command succeeds.
func sshServer(t *testing.T, address string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	return listen(t, address, func(c net.Conn) {
		_, channels, requests, err := ssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			session, requests, err := channel.Accept()
			if err != nil {
				return
			}
			go func() {
				defer session.Close()
				for r := range requests {
					_ = r.Reply(true, nil)
					if r.Type == "exec" {
						_, _ = io.WriteString(session, "works\n")
						_, _ = session.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
						return
					}
				}
			}()
		}
	})
}

// webServer is an HTTP server, with TLS or without.
func webServer(t *testing.T, secure bool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the tests break handshakes
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// webServerAt is an HTTP server on an address.
func webServerAt(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// curtServer answers one HTTP request per connection.
func curtServer(t *testing.T) string {
	t.Helper()
	return listen(t, "127.0.0.1:0", func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
		}
	})
}

// muteServer accepts connections, reads, and sends nothing.
func muteServer(t *testing.T) string {
	t.Helper()
	return listen(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// peerServer runs pathcheck -serve.
func peerServer(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- serve(ctx, address, func(a net.Addr) error {
			started <- a
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	select {
	case a := <-started:
		return a.String()
	case err := <-ended:
		ended <- nil
		require.NoError(t, err)
		return ""
	}
}
