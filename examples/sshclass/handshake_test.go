package sshclass_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

// silent listens, accepts one connection, and sends only banner.
func silent(t *testing.T, banner string) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ch := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err == nil {
			io.WriteString(c, banner)
			ch <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		select {
		case c := <-ch:
			c.Close()
		default:
		}
	})
	return l.Addr().String(), ch
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	for name, banner := range map[string]string{
		"before the server's version": "",
		"after the server's version":  "SSH-2.0-slow\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr, accepted := silent(t, banner)
			conn, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", addr)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			peer := <-accepted
			defer peer.Close()
			go func() {
				peer.Read(make([]byte, 1)) // the handshake is under way
				cancel()
			}()
			_, err = sshclass.Handshake(ctx, conn, addr, &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			require.ErrorIs(t, err, context.Canceled)
			assert.ErrorContains(t, err, addr)
			_, err = conn.Write([]byte("x"))
			assert.ErrorIs(t, err, net.ErrClosed)
			require.NoError(t, peer.SetReadDeadline(time.Now().Add(10*time.Second)))
			_, err = io.Copy(io.Discard, peer) // an EOF, or a reset if data was unread
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "conn is closed")
		})
	}

	t.Run("deadline", func(t *testing.T) {
		addr, _ := silent(t, "")
		conn, err := (&dscp.Dialer{}).Dial("tcp", addr)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = sshclass.Handshake(ctx, conn, addr, &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})

	t.Run("in the host key callback", func(t *testing.T) {
		s := startServer()
		defer s.Close()
		conn, err := (&dscp.Dialer{}).Dial("tcp", s.Addr())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		config := s.Config()
		config.HostKeyCallback = func(string, net.Addr, ssh.PublicKey) error { cancel(); return nil }
		_, err = sshclass.Handshake(ctx, conn, s.Addr(), config)
		assert.ErrorIs(t, err, context.Canceled)
	})

	t.Run("after a handshake that succeeded anyway", func(t *testing.T) {
		s := startServer()
		defer s.Close()
		conn, err := (&dscp.Dialer{}).Dial("tcp", s.Addr())
		require.NoError(t, err)
		late := &lateConn{Conn: conn}
		ctx, cancel := context.WithCancel(t.Context())
		config := s.Config()
		config.HostKeyCallback = func(string, net.Addr, ssh.PublicKey) error { cancel(); return nil }
		_, err = sshclass.Handshake(ctx, late, s.Addr(), config)
		require.ErrorIs(t, err, context.Canceled)
		_, err = conn.Write([]byte("x"))
		assert.ErrorIs(t, err, net.ErrClosed)
	})

	t.Run("before the handshake", func(t *testing.T) {
		s := startServer()
		defer s.Close()
		conn, err := (&dscp.Dialer{}).Dial("tcp", s.Addr())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = sshclass.Handshake(ctx, conn, s.Addr(), s.Config())
		assert.ErrorIs(t, err, context.Canceled)
	})

	t.Run("not after the handshake", func(t *testing.T) {
		s := startServer()
		defer s.Close()
		conn, err := (&dscp.Dialer{}).Dial("tcp", s.Addr())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		client, err := sshclass.Handshake(ctx, conn, s.Addr(), s.Config())
		require.NoError(t, err)
		cancel()
		assert.Equal(t, "still here", command(t, client, "still here"))
		require.NoError(t, client.Close())
		client.Wait()
	})
}

// A lateConn ignores the first call of Close, so that a handshake succeeds although
// its context has ended.
type lateConn struct {
	net.Conn
	called atomic.Bool
}

func (c *lateConn) Close() error {
	if !c.called.Swap(true) {
		return nil
	}
	return c.Conn.Close()
}

func TestHandshakeErrors(t *testing.T) {
	s, other := startServer(), startServer()
	defer s.Close()
	defer other.Close()
	conn, err := (&dscp.Dialer{}).Dial("tcp", s.Addr())
	require.NoError(t, err)
	_, err = sshclass.Handshake(t.Context(), conn, s.Addr(), other.Config())
	assert.ErrorContains(t, err, s.Addr())
	assert.ErrorContains(t, err, "host key mismatch")
	_, err = conn.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed)
}

// command returns what a command prints.
func command(t *testing.T, client *ssh.Client, cmd string) string {
	t.Helper()
	session, err := client.NewSession()
	require.NoError(t, err)
	defer session.Close()
	out, err := session.Output(cmd)
	require.NoError(t, err)
	return string(out)
}
