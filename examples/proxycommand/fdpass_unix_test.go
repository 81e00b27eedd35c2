//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFdpassRequiresUnixSocket claims that -fdpass fails, before it connects, if
// standard output is not a Unix stream socket.
func TestFdpassRequiresUnixSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	tcp, err := c.(*net.TCPConn).File()
	require.NoError(t, err)
	defer tcp.Close()
	_, pipe, err := os.Pipe()
	require.NoError(t, err)
	defer pipe.Close()
	for name, stdout := range map[string]io.Writer{
		"no file":         io.Discard,
		"a pipe":          pipe,
		"a TCP socket":    tcp,
		"a Unix datagram": socketPair(t, unix.SOCK_DGRAM)[0],
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			// Nothing listens on port 1: an attempt to connect would fail with another error.
			assert.Equal(t, 1, run(t.Context(), []string{"-fdpass", "127.0.0.1", "1"}, strings.NewReader(""), stdout, &stderr))
			assert.Equal(t, "proxycommand: "+errNoSocket.Error()+"\n", stderr.String())
		})
	}
	assert.NoError(t, takesDescriptor(socketPair(t, unix.SOCK_STREAM)[0]))
}

func socketPair(t *testing.T, kind int) (ends [2]*os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	require.NoError(t, err)
	for i, fd := range fds {
		ends[i] = os.NewFile(uintptr(fd), "end")
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends
}
