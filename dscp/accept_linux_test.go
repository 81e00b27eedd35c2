package dscp

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// remarkListener changes the mark that l's accepted conns inherit, through net's own
// listener, as a BPF program in the kernel may. l does not notice.
func remarkListener(t *testing.T, l *Listener, cp CodePoint) {
	t.Helper()
	raw, err := l.SyscallConn()
	require.NoError(t, err)
	for _, opt := range tos.Both {
		if _, err := opt.Get(raw); err == nil {
			require.NoError(t, opt.Set(raw, cp.TOS()))
		}
	}
}

// acceptRoutes are the address pairs by which a client reaches a listener.
var acceptRoutes = []struct{ name, listen, dial string }{
	{"IPv4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "[::1]:0", "::1"},
	{"IPv4-mapped", "[::]:0", "127.0.0.1"},
	{"wildcard, IPv6", "[::]:0", "::1"},
}

// TestAcceptedConnWithoutTheMark makes accepted conns inherit another mark than the
// one that ListenConfig asks for.
func TestAcceptedConnWithoutTheMark(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Inherited)
	for _, r := range acceptRoutes {
		for _, other := range []CodePoint{DF, CS1} {
			t.Run(r.name+", "+other.String(), func(t *testing.T) {
				t.Parallel()
				var events []Event
				listen := func(allow bool) *Listener {
					lc := &ListenConfig{DSCP: AF21, AllowUnmarked: allow, Trace: func(e Event) { events = append(events, e) }}
					return listenOn(t, lc, r.listen).(*Listener)
				}
				dial := func(l *Listener) net.Conn {
					_, port, err := net.SplitHostPort(l.Addr().String())
					require.NoError(t, err)
					c, err := (&Dialer{DSCP: EF}).Dial("tcp", net.JoinHostPort(r.dial, port))
					require.NoError(t, err)
					t.Cleanup(func() { c.Close() })
					require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
					return c
				}

				l := listen(false)
				remarkListener(t, l, other)
				client := dial(l)
				c, err := l.Accept()
				require.Error(t, err)
				require.Nil(t, c)
				op, ok := err.(*net.OpError)
				require.True(t, ok, "%T", err)
				assert.Equal(t, "accept", op.Op)
				assert.True(t, op.Temporary())
				assert.False(t, op.Timeout())
				m, ok := errors.AsType[*MarkError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, AF21, m.CodePoint)
				assert.ErrorContains(t, err, client.LocalAddr().(*net.TCPAddr).AddrPort().Addr().String())
				require.NotErrorIs(t, err, errors.ErrUnsupported)
				_, err = client.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF, "the refused conn is closed")
				require.Len(t, events, 2)
				assert.Equal(t, "accept", events[1].Op)
				require.ErrorAs(t, events[1].Err, &m)

				remarkListener(t, l, AF21)
				dial(l)
				c, err = l.Accept()
				require.NoError(t, err, "the listener goes on accepting")
				assert.Equal(t, AF21, c.(*Conn).DSCP())
				require.NoError(t, c.Close())

				l = listen(true)
				remarkListener(t, l, other)
				dial(l)
				c, err = l.Accept()
				require.NoError(t, err, "AllowUnmarked")
				assert.Equal(t, other, c.(*Conn).DSCP(), "DSCP reports the mark that the conn carries")
				require.NoError(t, c.Close())
			})
		}
	}
}

// TestUnmarkedListenerAcceptsAnyMark checks that a ListenConfig with DF, which leaves
// sockets as they are, accepts conns with another mark.
func TestUnmarkedListenerAcceptsAnyMark(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Inherited)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0").(*Listener)
	remarkListener(t, l, CS1)
	_, server := pair(t, &Dialer{}, l)
	assert.Equal(t, CS1, server.DSCP())
}

// TestAcceptWhereNoMarkIsInherited checks on systems such as gVisor that Accept returns
// no conn without the mark, unless AllowUnmarked is set.
func TestAcceptWhereNoMarkIsInherited(t *testing.T) {
	t.Parallel()
	if trial.Inherited() == nil {
		t.Skip("accepted connections inherit the mark of their listener here")
	}
	for _, address := range append(loopbacks(t), ":0") {
		for _, allow := range []bool{false, true} {
			l, err := (&ListenConfig{DSCP: EF, AllowUnmarked: allow}).Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			defer l.Close()
			for range 2 { // the listener lives on
				c, err := (&Dialer{DSCP: AF21}).Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				assert.Equal(t, AF21, c.(*Conn).DSCP())
				defer c.Close()
				s, err := l.Accept()
				if allow {
					require.NoError(t, err)
					assert.Equal(t, DF, s.(*Conn).DSCP(), "it says what it carries")
					require.NoError(t, s.(*Conn).Verify())
					require.NoError(t, s.Close())
					continue
				}
				m, ok := errors.AsType[*MarkError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, EF, m.CodePoint)
			}
		}
	}
}

// TestHTTPServerSurvivesUnmarkedConn checks that net/http takes the error of Accept
// for a temporary one.
func TestHTTPServerSurvivesUnmarkedConn(t *testing.T) {
	t.Parallel()
	traced := make(chan error, 100)
	l := listenOn(t, &ListenConfig{DSCP: AF21, Trace: func(e Event) {
		if e.Op == "accept" {
			traced <- e.Err
		}
	}}, "127.0.0.1:0").(*Listener)
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	remarkListener(t, l, CS1)
	_, err := client.Get("http://" + l.Addr().String())
	require.Error(t, err)
	require.Error(t, <-traced)
	remarkListener(t, l, AF21)
	resp, err := client.Get("http://" + l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}
