package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
)

// proxy runs the program against a server that calls serve for its one connection,
// and returns the exit status and the standard error.
func proxy(t *testing.T, ctx context.Context, stdin io.Reader, stdout io.Writer, serve func(*net.TCPConn)) (code int, stderr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		serve(c.(*net.TCPConn))
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	var text bytes.Buffer
	code = run(ctx, []string{host, port}, stdin, stdout, &text)
	<-served
	return code, text.String()
}

func TestRelayKeepsHalfClose(t *testing.T) {
	t.Run("ours first", func(t *testing.T) {
		var stdout bytes.Buffer
		code, stderr := proxy(t, t.Context(), strings.NewReader("all of it"), &stdout, func(c *net.TCPConn) {
			request, err := io.ReadAll(c) // returns because our half is closed
			assert.NoError(t, err)
			c.Write(append([]byte("got "), request...))
		})
		assert.Zero(t, code, stderr)
		assert.Equal(t, "got all of it", stdout.String())
	})
	t.Run("theirs first", func(t *testing.T) {
		stdin, typed := io.Pipe()
		printed, stdout := io.Pipe()
		var request []byte
		go func() {
			all, err := io.ReadAll(printed) // returns because stdout is closed
			assert.NoError(t, err)
			io.WriteString(typed, "after "+string(all))
			typed.Close()
		}()
		code, stderr := proxy(t, t.Context(), stdin, stdout, func(c *net.TCPConn) {
			io.WriteString(c, "theirs")
			assert.NoError(t, c.CloseWrite())
			var err error
			request, err = io.ReadAll(c)
			assert.NoError(t, err)
		})
		assert.Zero(t, code, stderr)
		assert.Equal(t, "after theirs", string(request))
	})
}

func TestRelayEndsWithTheConnection(t *testing.T) {
	stdin, typed := io.Pipe() // nothing is ever typed
	defer typed.Close()
	code, stderr := proxy(t, t.Context(), stdin, io.Discard, func(c *net.TCPConn) {
		c.SetLinger(0) // a reset
	})
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "connection reset by peer")
}

func TestRelayEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdin, typed := io.Pipe()
	defer typed.Close()
	code, stderr := proxy(t, ctx, stdin, io.Discard, func(c *net.TCPConn) {
		cancel()
		c.Read(make([]byte, 1))
	})
	assert.Equal(t, 1, code)
	assert.Empty(t, stderr, "no message after a signal")
}

func TestNoServer(t *testing.T) {
	address := nobody.Listens(t, "127.0.0.1:0")
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{host, port}, strings.NewReader(""), io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "proxycommand: dial tcp "+address+": with DSCP AF21: connect: connection refused")
}
