package dscptest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
)

// TestSealedProcess runs boxes in a sealed process, in which only this module can set a
// mark. The boxes must still be able to.
func TestSealedProcess(t *testing.T) {
	const env = "DSCPTEST_SEALED"
	if os.Getenv(env) == "" {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
		cmd.Env = append(os.Environ(), env+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		if strings.Contains(string(out), "--- SKIP: "+t.Name()+" ") {
			t.Skipf("in a child process:\n%s", out)
		}
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	if err := dscp.Seal(); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EPERM) {
		testns.Lacks(t, "a seal: %v", err)
	} else {
		require.NoError(t, err)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, cp := range []dscp.CodePoint{dscp.DF, dscp.AF21, dscp.LowDelay} {
			t.Run(address+" "+cp.String(), func(t *testing.T) {
				l, err := (&dscp.ListenConfig{DSCP: cp}).Listen(t.Context(), "tcp", address)
				require.NoError(t, err)
				defer l.Close()
				peer := make(chan dscp.CodePoint, 1)
				go func() {
					c, err := l.Accept()
					if !assert.NoError(t, err) {
						close(peer)
						return
					}
					defer c.Close()
					p, ok := c.(*dscp.Conn).PeerDSCP()
					assert.True(t, ok)
					peer <- p
					_, err = io.Copy(c, c)
					assert.NoError(t, err)
				}()
				box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.VMware, dscptest.OneMark)
				c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", box.Addr())
				require.NoError(t, err)
				require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
				_, err = c.Write([]byte("hello"))
				require.NoError(t, err)
				require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
				b, err := io.ReadAll(c)
				require.NoError(t, err)
				assert.Equal(t, "hello", string(b))
				assert.Equal(t, cp, <-peer, "the relay's SYN carries the client's mark")
				require.NoError(t, c.Close())
			})
		}
	}
	bare, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer bare.Close()
	raw, err := bare.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		assert.Equal(t, unix.EPERM, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0x20), "it is sealed")
	}))
}
