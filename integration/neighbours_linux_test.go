package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// onInterface returns a hook that binds a socket to one interface.
func onInterface(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) })
		return errors.Join(cerr, err)
	}
}

// TestNeighbours runs a server that answers each neighbour with another mark, from the
// SYN-ACK on: it has one listener for each interface, all on the same port.
func TestNeighbours(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const port = 1179
	here := testns.Current(t)
	for i, cp := range []dscp.CodePoint{dscp.CS6, dscp.AF21} {
		there, name := testns.New(t), fmt.Sprintf("n%d", i)
		testns.Connect(
			testns.End{Net: here, Name: name, Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.%d.1/24", i))}},
			testns.End{Net: there, Name: "uplink", Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.%d.2/24", i))}},
		)
		lc := dscp.ListenConfig{DSCP: cp, NetListenConfig: &net.ListenConfig{Control: onInterface(name)}}
		l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "open")
				c.Close()
			}
		}()
		t.Run(cp.String(), func(t *testing.T) {
			capture := wire.Start(t, name, port)
			var greeting []byte
			there.Do(func() {
				c, err := net.DialTimeout("tcp", fmt.Sprintf("192.0.%d.1:%d", i, port), 10*time.Second)
				require.NoError(t, err)
				defer c.Close()
				greeting, err = io.ReadAll(c)
				require.NoError(t, err)
			})
			assert.Equal(t, "open", string(greeting))
			n := 0
			for _, p := range capture.Until(wire.Closed(1)) {
				if p.Src.Port() == port {
					n++
					assert.EqualValues(t, cp, p.DSCP(), "%v", p)
				}
			}
			assert.Greater(t, n, 2)
		})
	}
}
