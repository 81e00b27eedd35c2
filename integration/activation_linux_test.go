package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// TestMain lets the test binary be the service that gets a listener from its
// parent, as sd_listen_fds(3) describes: LISTEN_FDS says how many there are, and
// the first is descriptor 3.
func TestMain(m *testing.M) {
	if os.Getenv("LISTEN_FDS") == "1" {
		if err := service(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// service serves one connection.
func service() error {
	f := os.NewFile(3, "listener")
	inherited, err := net.FileListener(f)
	if err != nil {
		return err
	}
	f.Close()
	l, err := (&dscp.ListenConfig{DSCP: serverMark}).Wrap(inherited.(*net.TCPListener))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	c, err := l.Accept()
	if err != nil {
		return err
	}
	conn := c.(*dscp.Conn)
	peer, ok := conn.PeerDSCP()
	fmt.Println(conn.DSCP(), peer, ok)
	if _, err := io.Copy(conn, conn); err != nil {
		return err
	}
	return conn.Close()
}

// start runs the service with the listener and returns when it is ready.
func start(t *testing.T, l *net.TCPListener) (wait func() error, says *bufio.Scanner) {
	t.Helper()
	f, err := l.File()
	require.NoError(t, err)
	defer f.Close()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	says = bufio.NewScanner(out)
	require.True(t, says.Scan(), "the service ended: %v", says.Err())
	require.Equal(t, "ready", says.Text())
	return cmd.Wait, says
}

func echo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	b := make([]byte, len(text))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, text, string(b))
}

// TestSocketActivation hands a listener that knows nothing of marks to a
// service.
func TestSocketActivation(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // systemd's are plain, unless SocketProtocol=mptcp
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := watching(t, l.Addr())
	wait, says := start(t, l.(*net.TCPListener))
	require.NoError(t, l.Close())

	c, err := (&dscp.Dialer{DSCP: clientMark}).DialContext(t.Context(), "tcp", w.address())
	require.NoError(t, err)
	echo(t, c, "hello")
	require.True(t, says.Scan())
	assert.Equal(t, "EF AF21 true", says.Text(), "its mark, and the one of the client's SYN")
	require.NoError(t, c.Close())
	require.NoError(t, wait())
	w.flows(1, clientMark)
}

// TestGracefulRestart hands a listener on while a connection from it lives.
func TestGracefulRestart(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l := listen(t).(*dscp.Listener)
	w := watching(t, l.Addr())
	d := &dscp.Dialer{DSCP: clientMark}
	before, err := d.DialContext(t.Context(), "tcp", w.address())
	require.NoError(t, err)
	served, err := l.Accept()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(served, served)
		served.Close()
		done <- err
	}()
	echo(t, before, "to the old one")

	wait, _ := start(t, l.TCPListener)
	require.NoError(t, l.Close())
	after, err := d.DialContext(t.Context(), "tcp", w.address())
	require.NoError(t, err)
	echo(t, after, "to the new one")
	echo(t, before, "still to the old one")
	require.NoError(t, after.Close())
	require.NoError(t, wait())
	require.NoError(t, before.Close())
	require.NoError(t, <-done)
	w.flows(2, clientMark)
}
