package dscp

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// An eventLog keeps the events of a Trace function. It is for one goroutine.
type eventLog []Event

func (l *eventLog) add(e Event) { *l = append(*l, e) }

// last returns the event since the last call and fails the test unless there is exactly one.
func (l *eventLog) last(t *testing.T) Event {
	t.Helper()
	require.Len(t, *l, 1)
	e := (*l)[0]
	*l = nil
	return e
}

func TestTrace(t *testing.T) {
	requireHost(t)
	trial.Need(t, trial.Inherited)
	for _, address := range loopbacks(t) {
		t.Run(address, func(t *testing.T) {
			var served, dialed eventLog
			lc := ListenConfig{DSCP: CS1, NATSafe: true, Trace: served.add}
			l, err := lc.Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			defer l.Close()
			e := served.last(t)
			assert.Positive(t, e.Duration)
			e.Duration = 0
			assert.Equal(t, Event{Op: "listen", Network: "tcp", Address: address, Local: l.Addr(), Requested: Throughput, Effective: Throughput, Why: "first"}, e)

			d := Dialer{DSCP: AF21, Trace: dialed.add}
			for name, dial := range map[string]func() (net.Conn, error){
				"DialContext": func() (net.Conn, error) { return d.Dial("tcp", l.Addr().String()) },
				"DialTCP": func() (net.Conn, error) {
					return d.DialTCP(t.Context(), "tcp", netip.AddrPort{}, netip.MustParseAddrPort(l.Addr().String()))
				},
			} {
				c, err := dial()
				require.NoError(t, err, name)
				e = dialed.last(t)
				assert.Positive(t, e.Duration)
				e.Duration = 0
				assert.Equal(t, Event{Op: "dial", Network: "tcp", Address: l.Addr().String(), Local: c.LocalAddr(), Remote: c.RemoteAddr(), Requested: AF21, Effective: AF21, Why: "first"}, e)

				s, err := l.Accept()
				require.NoError(t, err)
				assert.Equal(t, Event{Op: "accept", Network: "tcp", Address: address, Local: s.LocalAddr(), Remote: s.RemoteAddr(), Requested: Throughput, Effective: Throughput, Why: "first"}, served.last(t))
				require.NoError(t, c.Close())
				require.NoError(t, s.Close())
			}

			u, err := lc.ListenPacket(t.Context(), "udp", address)
			require.NoError(t, err)
			defer u.Close()
			e = served.last(t)
			assert.Equal(t, "listen", e.Op)
			assert.Equal(t, Throughput, e.Effective)
			for name, dial := range map[string]func() (net.Conn, error){
				"DialContext": func() (net.Conn, error) { return d.Dial("udp", u.LocalAddr().String()) },
				"DialUDP": func() (net.Conn, error) {
					return d.DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort(u.LocalAddr().String()))
				},
			} {
				c, err := dial()
				require.NoError(t, err, name)
				e = dialed.last(t)
				assert.Equal(t, "udp", e.Network)
				assert.Equal(t, AF21, e.Effective)
				assert.Equal(t, c.RemoteAddr(), e.Remote)
				require.NoError(t, c.Close())
			}

			bare, err := (&ListenConfig{}).Marked().Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			w, err := lc.Wrap(bare.(*net.TCPListener))
			require.NoError(t, err)
			e = served.last(t)
			assert.Equal(t, "wrap", e.Op)
			assert.Equal(t, w.Addr(), e.Local)
			require.NoError(t, w.Close())
			_, err = w.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
			e = served.last(t)
			assert.Equal(t, "accept", e.Op)
			require.ErrorIs(t, e.Err, net.ErrClosed)

			_, err = d.Dial("tcp", nobody.Listens(t, address))
			require.Error(t, err)
			e = dialed.last(t)
			assert.Equal(t, err, e.Err)
			assert.Nil(t, e.Remote)
			assert.Equal(t, DF, e.Effective)
		})
	}
}

// TestTraceReportsEffectiveMark checks that Event.Effective is the mark that the kernel
// has, even if it differs from the requested one.
func TestTraceReportsEffectiveMark(t *testing.T) {
	requireHost(t)
	var events eventLog
	remark := func(_, _ string, c syscall.RawConn) error { return tos.IPv4TOS.Set(c, EF.TOS()) }
	d := Dialer{NetDialer: &net.Dialer{Control: remark}, Trace: events.add}
	c, err := d.Dial("udp", "127.0.0.1:9")
	require.NoError(t, err)
	defer c.Close()
	e := events.last(t)
	assert.Equal(t, DF, e.Requested)
	assert.Equal(t, EF, e.Effective)
}

func TestTraceUnix(t *testing.T) {
	trial.Need(t, trial.Unix)
	var events eventLog
	path := t.TempDir() + "/s"
	lc := ListenConfig{DSCP: EF, Trace: events.add}
	l, err := lc.Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	defer l.Close()
	e := events.last(t)
	assert.Equal(t, "unix", e.Network)
	assert.Equal(t, DF, e.Effective, "unix sockets have no mark")
	assert.Equal(t, l.Addr(), e.Local)
}

// TestTraceBeforeASocket checks that Trace is not called for a failure before there is
// a socket.
func TestTraceBeforeASocket(t *testing.T) {
	var events eventLog
	_, err := (&Dialer{DSCP: 99, Trace: events.add}).Dial("tcp", "127.0.0.1:9")
	require.Error(t, err)
	_, err = (&ListenConfig{DSCP: 99, Trace: events.add}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.Error(t, err)
	assert.Empty(t, events)
}

func TestNilTraceAllocatesNothing(t *testing.T) {
	var silent tracer
	c := new(Conn)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		begin := silent.clock()
		silent.socket("dial", "tcp", "192.0.2.1:22", AF21, begin, c, nil)
		silent.socket("dial", "tcp", "192.0.2.1:22", AF21, time.Time{}, c, net.ErrClosed)
	}))
	assert.Zero(t, silent.clock())
}

// TestTraceOfALateConnection checks that Trace reports a connection that came up after
// another attempt had won.
func TestTraceOfALateConnection(t *testing.T) {
	requireHost(t)
	var events eventLog
	conn, _ := pair(t, &Dialer{DSCP: LowDelay}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	f := fallback{Dialer: &Dialer{Trace: events.add}}
	f.discard(outcome{conn: conn, event: Event{Op: "dial", Requested: LowDelay, Rung: 1, Why: "delay"}})
	e := events.last(t)
	require.ErrorIs(t, e.Err, errLost)
	assert.Equal(t, LowDelay, e.Requested)
	require.ErrorIs(t, conn.Verify(), net.ErrClosed)
}
