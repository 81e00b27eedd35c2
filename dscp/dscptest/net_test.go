package dscptest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
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

// serve accepts connections on address and hands each to f, which need not
// close it, until the test ends. It returns the listener's address.
func serve(t testing.TB, address string, f func(net.Conn)) string {
	t.Helper()
	return serveMarked(t, address, dscp.DF, f)
}

// serveMarked is serve on a listener that is marked from the beginning.
func serveMarked(t testing.TB, address string, cp dscp.CodePoint, f func(net.Conn)) string {
	t.Helper()
	lc := net.ListenConfig{}
	if cp != dscp.DF {
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

// echo returns what it gets.
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

// broken reads and writes until the connection is reset. The kernel hands
// ECONNRESET out once, to a read or to a write.
func broken(c net.Conn, err error) bool {
	for range 3 {
		if errors.Is(err, errReset) {
			return true
		}
		err = ask(c, "?")
	}
	return errors.Is(err, errReset)
}

// eventually waits until the box's only flow is as ok wants it, and returns it.
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

// judged reports whether a model has had something against a flow.
func judged(f dscptest.Flow) bool { return f.Verdict != dscptest.Pass }

// over reports whether a flow is.
func over(f dscptest.Flow) bool { return f.Over }
