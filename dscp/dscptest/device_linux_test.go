package dscptest_test

import (
	"context"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// bindToLoopback is a Control function that binds a socket to the loopback
// interface, as programs do that live with several routing tables.
func bindToLoopback(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") }); cerr != nil {
		return cerr
	}
	return err
}

// TestBoundToDevice has sockets that are bound to an interface at both ends: the
// kernel finds them only for who names it, when it is asked about them.
func TestBoundToDevice(t *testing.T) {
	for address, sensor := range map[string]dscptest.Sensor{
		"127.0.0.1:0": dscptest.SocketOption,
		"[::1]:0":     dscptest.WireLatest,
	} {
		for _, inside := range []dscptest.Side{dscptest.Client, dscptest.Server} {
			t.Run(string(sensor)+"/"+inside.String(), func(t *testing.T) {
				lc := dscp.ListenConfig{DSCP: dscp.EF, NetListenConfig: &net.ListenConfig{Control: bindToLoopback}}
				l, err := lc.Listen(context.Background(), "tcp", address)
				require.NoError(t, err)
				t.Cleanup(func() { l.Close() })
				box := dscptest.Config{
					Upstream: l.Addr().String(), Models: []dscptest.Model{dscptest.VMware},
					Inside: inside, Sensor: sensor,
				}.NewMiddlebox(t)

				d := net.Dialer{Control: bindToLoopback}
				client, err := d.Dial("tcp", box.Addr())
				require.NoError(t, err)
				t.Cleanup(func() { client.Close() })
				server, err := l.Accept()
				require.NoError(t, err)
				go func() {
					defer server.Close()
					echo(server)
				}()
				require.NoError(t, ask(client, "before"))
				f := box.Flows()[0]
				assert.True(t, f.Answered)
				assert.Equal(t, dscp.EF, f.SYNACK)

				changes := client
				if inside == dscptest.Server {
					changes = server.(*dscp.Conn).TCPConn
				}
				require.NoError(t, mark(changes, dscp.CS1))
				err = ask(client, "after")
				require.Error(t, err)
				assert.True(t, broken(client, err), "%v", err)
				assert.Equal(t, dscptest.Reset, eventually(t, box, over).Verdict)
			})
		}
	}
}
