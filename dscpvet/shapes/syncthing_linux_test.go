package shapes

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// syncthingMark has the shape of syncthing's dialer.SetTrafficClass: it tries
// both options on a *net.TCPConn, of which one fails on IPv4, and its callers
// log what it returns.
func syncthingMark(t *testing.T, conn net.Conn, class int) {
	c, ok := conn.(*net.TCPConn)
	if !assert.True(t, ok, "%T", conn) {
		return
	}
	e1 := ipv4.NewConn(c).SetTOS(class)
	e2 := ipv6.NewConn(c).SetTrafficClass(class)
	t.Log("SetTOS:", e1, "SetTrafficClass:", e2)
}

// syncthingOptions has the shape of dialer.SetTCPOptions, which accepts only a
// *net.TCPConn.
func syncthingOptions(conn net.Conn) error {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("unknown connection type %T", conn)
	}
	return c.SetNoDelay(false)
}

// reusePort has the shape of the Control function with which syncthing dials from
// the port that it listens on.
func reusePort(network, address string, c syscall.RawConn) error {
	var opErr error
	err := c.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return opErr
}

// TestSyncthing marks on either side: where the program dials, and where it accepts.
func TestSyncthing(t *testing.T) {
	const cp = dscp.AF21
	class := int(cp.TOS())
	bare := func(t *testing.T, address string) net.Listener {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		return l
	}
	marked := func(t *testing.T, address string) net.Listener {
		lc := dscp.ListenConfig{DSCP: cp}
		l, err := lc.Marked().Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		return l
	}
	nothing := func(*testing.T, net.Conn) {}
	late := func(t *testing.T, c net.Conn) { syncthingMark(t, c, class) }
	netDialer := net.Dialer{Control: reusePort, Timeout: 10 * time.Second}
	for _, tt := range []struct {
		name     string
		listen   func(*testing.T, string) net.Listener
		accepted func(*testing.T, net.Conn)
		dialer   *net.Dialer
		dialed   func(*testing.T, net.Conn)
		passes   bool
		syn      dscp.CodePoint
	}{
		{"before, dialed", bare, nothing, &netDialer, late, false, dscp.DF},
		{"before, accepted", bare, late, &netDialer, nothing, false, dscp.DF},
		{"after", marked, nothing, (&dscp.Dialer{NetDialer: &netDialer, DSCP: cp}).Marked(), nothing, true, cp},
	} {
		for _, address := range loopbacks {
			t.Run(tt.name+" "+address, func(t *testing.T) {
				l := tt.listen(t, address)
				t.Cleanup(func() { l.Close() })
				echo(t, l, tt.accepted)
				box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.VMware)

				conn, err := tt.dialer.DialContext(t.Context(), "tcp", box.Addr())
				require.NoError(t, err)
				require.NoError(t, syncthingOptions(conn), "the type is what the program expects")
				assert.Equal(t, 1, option(t, conn, unix.SOL_SOCKET, unix.SO_REUSEPORT), "the program's own hook ran")
				tt.dialed(t, conn)
				err = exchange(conn)
				flow := over(t, box)
				if !tt.passes {
					isReset(t, flow, err)
					return
				}
				isWhole(t, flow, err, tt.syn)
				assert.Equal(t, cp, flow.SYNACK)
			})
		}
	}
}

// echo sends back what the accepted connection sends.
func echo(t *testing.T, l net.Listener, accepted func(*testing.T, net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		accepted(t, c)
		io.Copy(c, c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

// exchange sends a message and reads it back, twice, and closes the connection.
func exchange(conn net.Conn) error {
	defer conn.Close()
	message := bytes.Repeat([]byte("block"), 1000)
	got := make([]byte, len(message))
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for range 2 {
		if _, err := conn.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			return err
		}
	}
	return nil
}

func option(t *testing.T, conn net.Conn, level, opt int) int {
	raw, err := conn.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var value int
	var opErr error
	require.NoError(t, raw.Control(func(fd uintptr) { value, opErr = unix.GetsockoptInt(int(fd), level, opt) }))
	require.NoError(t, opErr)
	return value
}
