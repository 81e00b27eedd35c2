package dscp_test

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// setTCP returns a Control function that sets a TCP option.
func setTCP(option, value int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if controlErr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) }); controlErr != nil {
			return controlErr
		}
		return err
	}
}

// TestFallbackWithFastOpen checks that Fallback does not take the success of connect for
// an answer to its SYN. With TCP Fast Open and a cached cookie, connect succeeds before a
// SYN is sent.
func TestFallbackWithFastOpen(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_fastopen", "3") // for clients and servers
	for _, address := range loopbacks {
		t.Run(address, func(t *testing.T) {
			lc := net.ListenConfig{Control: setTCP(unix.TCP_FASTOPEN, 16)}
			lc.SetMultipathTCP(false)
			l, err := lc.Listen(t.Context(), "tcp", address)
			require.NoError(t, err)
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						_, _ = io.Copy(c, c)
					}()
				}
			}()
			echoed := func(c net.Conn) {
				t.Helper()
				require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
				_, err := c.Write([]byte{'!'})
				require.NoError(t, err)
				_, err = io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err)
			}
			eager := &net.Dialer{Control: setTCP(unix.TCP_FASTOPEN_CONNECT, 1)}
			first, err := eager.Dial("tcp", l.Addr().String()) // gets the cookie
			require.NoError(t, err)
			echoed(first)
			require.NoError(t, first.Close())

			hostile(t, map[string]string{"af21": "drop"}, l)
			upWithoutSYN := func() {
				t.Helper()
				d := dscp.Dialer{NetDialer: eager, DSCP: dscp.AF21}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				c, err := d.DialContext(ctx, "tcp", l.Addr().String())
				require.NoError(t, err, "connect succeeds without a SYN")
				require.NoError(t, c.Close())
			}
			upWithoutSYN()
			for name, dial := range dials {
				t.Run(name, func(t *testing.T) {
					d := dscp.Dialer{NetDialer: eager, DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay}, FallbackDelay: 50 * time.Millisecond}
					c, err := dial(&d, t.Context(), l.Addr().String())
					require.NoError(t, err)
					defer c.Close()
					assert.Equal(t, dscp.LowDelay, c.DSCP())
					echoed(c)
				})
			}
			upWithoutSYN() // the kernel still has the cookie
		})
	}
}
