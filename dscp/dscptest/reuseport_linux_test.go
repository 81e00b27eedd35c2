package dscptest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/trial"
)

// serveGroup opens listeners with these marks on one address. On each connection it
// sends the mark of the listener as one byte, and then echoes.
func serveGroup(t *testing.T, address string, marks ...dscp.CodePoint) string {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	for _, cp := range marks {
		lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			})
			if cerr != nil || err != nil {
				return errors.Join(cerr, err)
			}
			return dscp.Control(cp)(network, address, c)
		}}
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(context.Background(), "tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		address = l.Addr().String()
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer c.Close()
					c.Write([]byte{byte(cp)})
					echo(c)
				})
			}
		})
	}
	return address
}

// TestListenersWithSeveralMarksAreNotBlamed has sockets with different marks listen on the
// address of the upstream. The kernel chooses one for each connection. Each keeps
// its mark, so no flow is reported, and the mark of each SYN-ACK is that of its
// listener. A client that changes its own mark is still reported.
func TestListenersWithSeveralMarksAreNotBlamed(t *testing.T) {
	t.Parallel()
	for _, s := range sensors {
		t.Run(string(s.sensor)+"/"+s.address, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			server := serveGroup(t, s.address, dscp.CS1, dscp.AF21, dscp.EF, dscp.DF)
			box, err := dscptest.Config{Upstream: server, Sensor: s.sensor}.Start()
			if s.sensor == dscptest.WireEvery && err != nil {
				t.Skip(err) // it needs a privilege
			}
			trial.Need(t, trial.Supported(err))
			require.NoError(t, err)
			require.NoError(t, box.Close())
			box = dscptest.Config{Upstream: server, Sensor: s.sensor, Models: []dscptest.Model{dscptest.OneMark}}.NewMiddlebox(r)
			chosen := make(map[dscp.CodePoint]int)
			for i := range 60 {
				c := dialMarked(t, box.Addr(), dscp.AF41)
				var cp [1]byte
				_, err := io.ReadFull(c, cp[:])
				require.NoError(t, err)
				require.NoError(t, ask(c, "hello"))
				chosen[dscp.CodePoint(cp[0])]++
				f := box.Flows()[i]
				assert.True(t, f.Answered)
				assert.Equal(t, dscp.CodePoint(cp[0]), f.SYNACK, "%v", f)
				assert.Empty(t, f.Changes, "%v", f)
				require.NoError(t, c.Close())
			}
			assert.Greater(t, len(chosen), 1, "the kernel has chosen: %v", chosen)

			c := dialMarked(t, box.Addr(), dscp.AF41)
			require.NoError(t, ask(c, "x"))
			require.NoError(t, mark(c, dscp.CS2))
			require.NoError(t, ask(c, "hello"))
			r.finish()
			require.Len(t, r.errors, 1)
			assert.Contains(t, r.errors[0], "client→server: AF41 → CS2")
		})
	}
}
