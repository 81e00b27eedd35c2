package dscp_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
	"github.com/godscp/godscp/internal/trial"
)

// TestWireOutsideANamespace looks at every packet of dialled connections where the
// kernel has packet sockets and no namespaces to capture in, as in gVisor: the other
// tests on the wire cannot run there. What the server sends is not marked, and its
// conn says so.
func TestWireOutsideANamespace(t *testing.T) {
	if trial.Inherited() == nil {
		t.Skip("TestWireEveryPacket looks at this kernel's packets")
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(packetProtocol))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("packet sockets: %v", err)
	}
	require.NoError(t, err)
	defer unix.Close(fd) //nolint:errcheck // nothing is left to read
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	buf := make([]byte, 1<<16)
	for _, f := range families {
		for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.EF, dscp.LE} {
			client, server := f.connect(t, dialled(dscp.Dialer{DSCP: cp}), listened(dscp.ListenConfig{DSCP: dscp.CS1, AllowUnmarked: true}))
			assert.Equal(t, cp, client.(*dscp.Conn).DSCP())
			assert.Equal(t, dscp.DF, server.(*dscp.Conn).DSCP())
			echoed := make(chan error, 1)
			go func() {
				_, err := io.Copy(struct{ io.Writer }{server}, struct{ io.Reader }{server})
				echoed <- errors.Join(err, server.Close())
			}()
			_, err := client.Write(bulk[:5000]) // the packet socket holds no more than some
			require.NoError(t, err)
			require.NoError(t, client.(*dscp.Conn).CloseWrite())
			_, err = io.Copy(io.Discard, client)
			require.NoError(t, err)
			require.NoError(t, <-echoed)
			local, octets, flags := addrPort(client.LocalAddr()), map[uint8]int{}, packet.Flags(0)
			for deadline := time.Now().Add(20 * time.Second); flags&packet.FIN == 0; {
				require.True(t, time.Now().Before(deadline), "no FIN")
				n, err := unix.Read(fd, buf)
				require.NoError(t, err)
				p, ok := packet.Parse(buf[:n], n)
				if !ok || p.Proto != packet.TCP {
					continue
				}
				switch local {
				case p.Src:
					octets[p.TOS]++
					flags |= p.Flags
				case p.Dst:
					assert.Zero(t, p.TOS, "%v", p)
				}
			}
			assert.Len(t, octets, 1, "%s, %v", f.name, cp)
			assert.Positive(t, octets[cp.TOS()], "%s, %v", f.name, cp)
			assert.True(t, flags&packet.SYN != 0, "the SYN was seen")
		}
	}
}
