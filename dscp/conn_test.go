package dscp

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/godscp/godscp/internal/trial"
)

func TestSetDSCP(t *testing.T) {
	t.Parallel()
	requireHost(t)
	client, server := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{DSCP: EF}, "127.0.0.1:0"))
	for cp := range CodePoint(64) {
		err := client.SetDSCP(cp)
		if cp == AF21 {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrMidFlow)
		for _, part := range []string{"AF21", cp.String(), client.LocalAddr().String(), client.RemoteAddr().String()} {
			require.ErrorContains(t, err, part)
		}
	}
	require.ErrorIs(t, client.SetDSCP(72), ErrRange)
	require.NoError(t, client.Verify())

	_, err := client.Write([]byte("alive"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(server, buf)
	require.NoError(t, err)
	assert.Equal(t, "alive", string(buf))
}

func TestSetDSCPMakesNoSystemCall(t *testing.T) {
	t.Parallel()
	requireHost(t)
	client, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	require.NoError(t, client.Close())
	require.ErrorIs(t, client.SetDSCP(CS1), ErrMidFlow, "a system call would have found it closed")
	assert.Equal(t, AF21, client.DSCP())
}

func TestVerify(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range loopbacks(t) {
		client, server := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{DSCP: EF}, addr))
		raw, err := client.TCPConn.SyscallConn() // bypasses the guard
		require.NoError(t, err)
		require.NoError(t, client.pin.option.Set(raw, CS1.TOS()))
		err = client.Verify()
		require.ErrorIs(t, err, ErrMidFlow)
		require.ErrorContains(t, err, "CS1")
		assert.Equal(t, AF21, client.DSCP())

		require.NoError(t, server.Verify())
		require.NoError(t, server.Close())
		err = server.Verify()
		require.ErrorIs(t, err, net.ErrClosed)
		for _, a := range []net.Addr{server.LocalAddr(), server.RemoteAddr()} {
			assert.Equal(t, 1, strings.Count(err.Error(), a.String()), "the address appears once: %v", err)
		}
		_, err = server.SyscallConn()
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	c, err := (&Dialer{DSCP: CS3}).Marked().Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	conn, err := Pin(c.(*net.TCPConn))
	require.NoError(t, err)
	assert.Equal(t, CS3, conn.DSCP())
	_, ok := conn.PeerDSCP()
	assert.False(t, ok)

	s, err := l.(*Listener).AcceptTCP()
	require.NoError(t, err)
	defer s.Close()
	server, err := Pin(s)
	require.NoError(t, err)
	if peer, ok := server.PeerDSCP(); ok {
		assert.Equal(t, CS3, peer)
	}
}

// wrapper is a conn with a NetConn method, as tls.Conn has.
type wrapper struct {
	net.Conn
	under net.Conn
}

func (w wrapper) NetConn() net.Conn { return w.under }

// panics is a wrapper whose NetConn method panics.
type panics struct{ net.Conn }

func (panics) NetConn() net.Conn { panic("nothing yet") }

func TestOf(t *testing.T) {
	t.Parallel()
	requireHost(t)
	client, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	var loop wrapper
	loop.under = &loop
	tests := []struct {
		name string
		conn net.Conn
		want *Conn
	}{
		{"itself", client, client},
		{"inside tls.Conn", tls.Client(client, nil), client},
		{"inside two wrappers", wrapper{under: tls.Client(client, nil)}, client},
		{"bare", client.TCPConn, nil},
		{"wrapper of a bare conn", wrapper{under: client.TCPConn}, nil},
		{"wrapper of nothing", wrapper{}, nil},
		{"nil", nil, nil},
		{"a nil Conn", (*Conn)(nil), nil},
		{"a wrapper of itself", &loop, nil},
		{"a nil tls.Conn", (*tls.Conn)(nil), nil},
		{"wrapper of a nil tls.Conn", wrapper{under: (*tls.Conn)(nil)}, nil},
		{"a nil wrapper", (*wrapper)(nil), nil},
		{"wrapper of a nil Conn", wrapper{under: (*Conn)(nil)}, nil},
		{"wrapper of a nil TCPConn", wrapper{under: (*net.TCPConn)(nil)}, nil},
		{"tls.Conn of nil", tls.Client(nil, nil), nil},
		{"a wrapper that panics", panics{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Of(tt.conn)
			assert.Equal(t, tt.want != nil, ok)
			assert.Same(t, tt.want, got)
		})
	}
}

func TestReadFromKeepsCount(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Copy)
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	from, source := pair(t, &Dialer{DSCP: AF21}, l)
	to, sink := pair(t, &Dialer{DSCP: AF21}, l)
	payload := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		source.Write(payload)
		source.CloseWrite()
	}()
	done := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(sink)
		done <- b
	}()
	lr := &io.LimitedReader{R: from, N: 1000}
	n, err := to.ReadFrom(lr)
	require.NoError(t, err)
	assert.EqualValues(t, 1000, n)
	assert.Zero(t, lr.N, "ReadFrom counts in the caller's LimitedReader")
	n, err = io.Copy(to, from)
	require.NoError(t, err)
	assert.EqualValues(t, len(payload)-1000, n)
	require.NoError(t, to.CloseWrite())
	assert.True(t, bytes.Equal(payload, <-done))
}

func TestNettest(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range loopbacks(t) {
		t.Run(addr, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				l, err := (&ListenConfig{DSCP: EF, AllowUnmarked: trial.Inherited() != nil}).Listen(t.Context(), "tcp", addr)
				if err != nil {
					return nil, nil, nil, err
				}
				defer l.Close()
				if c1, err = (&Dialer{DSCP: AF21}).Dial("tcp", l.Addr().String()); err != nil {
					return nil, nil, nil, err
				}
				if c2, err = l.Accept(); err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() { c1.Close(); c2.Close() }, nil
			})
		})
	}
}
