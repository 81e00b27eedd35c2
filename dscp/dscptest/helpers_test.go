package dscptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// patience bounds every wait of the tests.
const patience = 10 * time.Second

// families are the two address families, by the address a server listens on.
var families = []struct{ name, address string }{
	{"IPv4", "127.0.0.1:0"},
	{"IPv6", "[::1]:0"},
}

// eachFamily runs f once for IPv4 and once for IPv6.
func eachFamily(t *testing.T, f func(t *testing.T, address string)) {
	t.Parallel()
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel()
			f(t, family.address)
		})
	}
}

// serve accepts connections on address until the test ends, and calls f with each,
// which need not close it. It returns the listener's address.
func serve(t testing.TB, address string, f func(net.Conn)) string {
	t.Helper()
	return serveMarked(t, address, dscp.DF, f)
}

// serveMarked is serve on a listener that is marked from the beginning.
func serveMarked(t testing.TB, address string, cp dscp.CodePoint, f func(net.Conn)) string {
	t.Helper()
	lc := net.ListenConfig{}
	if cp != dscp.DF {
		needMarks(t)
		lc.Control = dscp.Control(cp)
	}
	l, err := lc.Listen(context.Background(), "tcp", address)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []chan struct{}
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			over := make(chan struct{})
			conns = append(conns, over)
			stop := context.AfterFunc(ctx, func() { c.Close() })
			go func() {
				defer close(over)
				defer c.Close()
				defer stop()
				f(c)
			}()
		}
		for _, over := range conns {
			<-over
		}
	}()
	t.Cleanup(func() {
		cancel()
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// needMarks skips a test that marks where the system cannot.
func needMarks(t testing.TB) {
	t.Helper()
	if tos.Host.Unmarkable != "" {
		t.Skipf("%s cannot mark: %s", tos.Host.OS, tos.Host.Unmarkable)
	}
}

// echo returns what it receives.
func echo(c net.Conn) { io.Copy(c, c) }

// dial connects without a mark.
func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	return dialMarked(t, address, dscp.DF)
}

// dialMarked connects with a mark on the SYN.
func dialMarked(t testing.TB, address string, cp dscp.CodePoint) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if cp != dscp.DF {
		d.Control = dscp.Control(cp)
	}
	c, err := d.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

// mark sets the mark of a connection that is up, as most programs do it.
func mark(c net.Conn, cp dscp.CodePoint) error {
	if strings.Contains(c.LocalAddr().String(), "[") {
		return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
	}
	return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
}

// ask writes question and reads as many bytes back.
func ask(c net.Conn, question string) error {
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(question)))
	return err
}

// broken reads and writes until the connection is reset. The kernel returns ECONNRESET
// once, for a read or for a write.
func broken(c net.Conn, err error) bool {
	for range 3 {
		if errors.Is(err, errReset) {
			return true
		}
		err = ask(c, "?")
	}
	return errors.Is(err, errReset)
}

// eventually waits until ok returns true for the box's only flow, and returns it.
func eventually(t testing.TB, b *dscptest.Middlebox, ok func(dscptest.Flow) bool) dscptest.Flow {
	t.Helper()
	var f dscptest.Flow
	require.Eventually(t, func() bool {
		flows := b.Flows()
		if len(flows) != 1 {
			return false
		}
		f = flows[0]
		return ok(f)
	}, patience, time.Millisecond, "flow: %v", &f)
	return f
}

// judged reports whether a flow has a verdict other than Pass.
func judged(f dscptest.Flow) bool { return f.Verdict != dscptest.Pass }

// over reports whether a flow is over.
func over(f dscptest.Flow) bool { return f.Over }

// silence is how long a test waits for data on a blackholed flow.
const silence = 200 * time.Millisecond

// connect tries to connect with a marked SYN, for at most the given time.
func connect(address string, cp dscp.CodePoint, timeout time.Duration) error {
	d := net.Dialer{Timeout: timeout, Control: dscp.Control(cp)}
	c, err := d.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err
}

// timesOut requires that a connection attempt with a mark times out. On loopback a SYN
// is answered at once or not at all.
func timesOut(t testing.TB, address string, cp dscp.CodePoint) {
	t.Helper()
	err := connect(address, cp, silence)
	if assert.Error(t, err, "%v", cp) {
		var e net.Error
		assert.ErrorAs(t, err, &e)
		assert.True(t, e.Timeout(), "%v: %v", cp, err)
	}
}

// echoUDP returns datagrams to their senders until the test ends. If markAfter is not
// negative, it changes its mark at the datagram with that number.
func echoUDP(t testing.TB, address string, markAfter int) string {
	t.Helper()
	i := 0
	return serveUDP(t, address, func(c *net.UDPConn, _ []byte) bool {
		if i == markAfter {
			markUDP(c, dscp.CS1, 0)
		}
		i++
		return true
	})
}

// serveUDP returns each datagram for which answer returns true to its sender, until the
// test ends.
func serveUDP(t testing.TB, address string, answer func(*net.UDPConn, []byte) bool) string {
	t.Helper()
	trial.Need(t, trial.UDP)
	c, err := net.ListenPacket("udp", address)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer(c.(*net.UDPConn), buf[:n]) {
				c.WriteTo(buf[:n], from)
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c.LocalAddr().String()
}

// markUDP marks what a socket sends from now on, ECN bits included.
func markUDP(c *net.UDPConn, cp dscp.CodePoint, ecn int) error {
	if c.LocalAddr().(*net.UDPAddr).IP.To4() != nil {
		return ipv4.NewPacketConn(c).SetTOS(int(cp.TOS()) | ecn)
	}
	return ipv6.NewPacketConn(c).SetTrafficClass(int(cp.TOS()) | ecn)
}

func dialUDP(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.UDPConn)
}

// lost sends question, and reports whether no answer came.
func lost(t testing.TB, c *net.UDPConn, question string) bool {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
	err := ask(c, question)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	if err == nil {
		return false
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	return true
}

// A recorder receives the errors and skips that are for a test.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
	skips    []string
	skipping bool // the test expects a skip
}

func (r *recorder) Helper() {}

// Cleanup makes f run at finish, and at the latest when the real test ends.
func (r *recorder) Cleanup(f func()) {
	f = sync.OnceFunc(f)
	r.cleanups = append(r.cleanups, f)
	r.TB.Cleanup(f)
}

func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	if !r.skipping {
		r.TB.Fatal(args...) // there is no box
	}
}

func (r *recorder) Skip(args ...any) {
	r.skips = append(r.skips, fmt.Sprint(args...))
	if !r.skipping {
		r.TB.Skip(args...) // there is no box
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// finish runs the cleanups, as at the end of a test.
func (r *recorder) finish() {
	for _, f := range r.cleanups {
		f()
	}
}
