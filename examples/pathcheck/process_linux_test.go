package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/testns"
)

// asProgram makes the test binary run the program, or dial with an advised Dialer.
const asProgram = "PATHCHECK_AS_PROGRAM"

// dialArgument is the first argument of a process that dials. The other two are the
// expression of a Dialer and an address.
const dialArgument = "dial"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	if os.Args[1] != dialArgument {
		main()
	}
	d, ok := pasted[os.Args[2]]
	if !ok {
		fmt.Println("unknown Dialer:", os.Args[2])
		os.Exit(exitUncertain)
	}
	c, err := d.Dial("tcp", os.Args[3])
	if err == nil {
		err = keyExchange(c, target{host: "far"}, nil, func() error { return nil })
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(exitUncertain)
	}
	fmt.Println("up")
	os.Exit(exitNoHarm)
}

// runs runs this test binary on the client's side, and returns its standard output.
func (s *site) runs(t *testing.T, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	s.client.Do(func() { err = cmd.Start() })
	require.NoError(t, err)
	if err := cmd.Wait(); err != nil {
		t.Logf("%v: %s", err, stderr.String())
	}
	return stdout.String()
}

// farEnd starts pathcheck -serve on the server's side, in another process, since its
// goroutines may run on threads of any namespace.
func (s *site) farEnd(t *testing.T, family string, capturing bool) (address string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := []string{self, "-serve", netip.AddrPortFrom(s.address[family], 0).String()}
	if !capturing {
		testns.Require(t, "setpriv")
		command = append([]string{"setpriv", "--bounding-set=-net_raw", "--"}, command...)
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	s.server.Do(func() { err = cmd.Start() })
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, address, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, line)
	return address
}
