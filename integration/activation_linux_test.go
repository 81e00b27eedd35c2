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

// TestMain runs the test binary as the service if it gets a listener from its parent, as
// sd_listen_fds(3) describes: LISTEN_FDS is the number of listeners, and the first is
// descriptor 3.
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

// start runs the service with the listener and returns when it is ready. output reads the
// further lines that the service prints.
func start(t *testing.T, l *net.TCPListener) (wait func() error, output *bufio.Scanner) {
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
	output = bufio.NewScanner(out)
	require.True(t, output.Scan(), "the service ended: %v", output.Err())
	require.Equal(t, "ready", output.Text())
	return cmd.Wait, output
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

// TestSocketActivation passes an unmarked listener to a service, which wraps it.
func TestSocketActivation(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // systemd makes plain TCP sockets, unless SocketProtocol=mptcp
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := watching(t, l.Addr())
	wait, output := start(t, l.(*net.TCPListener))
	require.NoError(t, l.Close())

	c, err := (&dscp.Dialer{DSCP: clientMark}).DialContext(t.Context(), "tcp", w.address())
	require.NoError(t, err)
	echo(t, c, "hello")
	require.True(t, output.Scan())
	assert.Equal(t, "EF AF21 true", output.Text(), "the conn's mark, and that of the client's SYN")
	require.NoError(t, c.Close())
	require.NoError(t, wait())
	w.flows(1, clientMark)
}

// TestGracefulRestart passes a listener on while a connection that it accepted is open.
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
	echo(t, before, "to the old process")

	wait, _ := start(t, l.TCPListener)
	require.NoError(t, l.Close())
	after, err := d.DialContext(t.Context(), "tcp", w.address())
	require.NoError(t, err)
	echo(t, after, "to the new process")
	echo(t, before, "still to the old process")
	require.NoError(t, after.Close())
	require.NoError(t, wait())
	require.NoError(t, before.Close())
	require.NoError(t, <-done)
	w.flows(2, clientMark)
}
