package dscp_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/seccomp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/trial"
)

// childEnv names the test that a child process runs.
const childEnv = "DSCP_TEST_CHILD"

// inChild runs the calling test in a child process, because Seal cannot be undone. It
// reports whether this is the child.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	switch {
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("output of the child:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("the child did not run the test:\n%s", out)
	}
	t.Logf("output of the child:\n%s", out)
	return false
}

// seal seals this process, which must be a child made for the test.
func seal(t *testing.T) {
	t.Helper()
	needSealedArchitecture(t)
	err := dscp.Seal()
	if errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		testns.Lacks(t, "cannot seal the process: %v", err)
	}
	require.NoError(t, err)
}

// needSealedArchitecture skips a test where Seal does not know the system calls.
func needSealedArchitecture(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("Seal does not support %s", runtime.GOARCH)
	}
}

// setOctet sets the TOS octet by a plain setsockopt.
func setOctet(fd uintptr, f family, octet int) error {
	level, option := f.sent()
	return unix.SetsockoptInt(int(fd), level, option, octet)
}

// TestSeal seals a process that has threads and connections, and then tries each way to
// change a mark.
func TestSeal(t *testing.T) {
	trial.Need(t, trial.Inherited)
	if !inChild(t) {
		return
	}
	// Threads from before Seal, which wait to try.
	var ready, tried sync.WaitGroup
	begin := make(chan struct{})
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(socket)
	try := func() {
		assert.ErrorIs(t, unix.SetsockoptInt(socket, unix.IPPROTO_IP, unix.IP_TOS, 0x20), unix.EPERM)
	}
	for range 8 {
		ready.Add(1)
		tried.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			<-begin
			try()
		})
	}
	ready.Wait()
	before, beforeServer := families[0].connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{DSCP: dscp.EF}))
	defer before.Close()
	defer beforeServer.Close()

	seal(t)
	var again sync.WaitGroup
	for range 8 {
		again.Go(func() { assert.NoError(t, dscp.Seal()) })
	}
	again.Wait()
	close(begin)
	tried.Wait()
	for range 8 { // threads from after Seal
		tried.Go(func() {
			runtime.LockOSThread()
			try()
		})
	}
	tried.Wait()

	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			client, server := f.connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{DSCP: dscp.EF}))
			defer client.Close()
			defer server.Close()
			for _, c := range []*dscp.Conn{client.(*dscp.Conn), server.(*dscp.Conn)} {
				sealedConn(t, f, c)
			}
			assert.Equal(t, dscp.AF21, client.(*dscp.Conn).DSCP())
			assert.Equal(t, dscp.EF, server.(*dscp.Conn).DSCP())
			cp, ok := server.(*dscp.Conn).PeerDSCP()
			assert.True(t, ok)
			assert.Equal(t, dscp.AF21, cp, "mark of the SYN")
		})
	}
	require.NoError(t, before.(*dscp.Conn).Verify())

	t.Run("UDP", func(t *testing.T) {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
			pc, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).ListenPacket(t.Context(), "udp", address)
			require.NoError(t, err)
			c := pc.(*dscp.UDPConn)
			require.ErrorIs(t, errors.Join(ipv4.NewPacketConn(c).SetTOS(0x20), ipv6.NewPacketConn(c).SetTrafficClass(0x20)), dscp.ErrMidFlow)
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			network := "udp6"
			if address == "127.0.0.1:0" {
				network = "udp4"
			}
			require.Error(t, dscp.Control(dscp.CS1)(network, c.LocalAddr().String(), raw), "package dscp's own hook")
			require.NoError(t, ipv4.NewPacketConn(c).SetTTL(9))
			require.NoError(t, c.Verify())
			require.NoError(t, c.Close())
		}
		bare, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		c, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).WrapPacket(bare)
		require.NoError(t, err)
		assert.Equal(t, dscp.AF21, c.DSCP())
		require.NoError(t, c.Close())
	})

	t.Run("a hook of other code", func(t *testing.T) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) { err = setOctet(fd, families[0], 0x20) })
			return errors.Join(cerr, err)
		}}
		_, err := d.Dial("tcp4", "127.0.0.1:1")
		require.ErrorIs(t, err, unix.EPERM)
	})

	t.Run("children", func(t *testing.T) {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "-test.run=^TestSealedChild$", "-test.v")
		cmd.Env = append(os.Environ(), childEnv+"=TestSealedChild")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestSealedChild")
	})

	const flowinfoSend = 33 // IPV6_FLOWINFO_SEND, after which the flow information of an address marks a datagram
	require.ErrorIs(t, unix.SetsockoptInt(socket, unix.IPPROTO_IPV6, flowinfoSend, 1), unix.EPERM)
	require.NoError(t, unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.IP_TOS, 0), "SO_DEBUG has the number of IP_TOS")

	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	assert.Equal(t, unix.ENOSYS, errno)
}

// sealedConn tries each way to change the mark of a live conn.
func sealedConn(t *testing.T, f family, c *dscp.Conn) {
	t.Helper()
	ipv6Socket := f.name != "IPv4"
	require.ErrorIs(t, c.SetDSCP(dscp.CS1), dscp.ErrMidFlow)
	require.ErrorIs(t, ipv4.NewConn(c).SetTOS(0x20), dscp.ErrMidFlow)
	require.ErrorIs(t, ipv6.NewConn(c).SetTrafficClass(0x20), dscp.ErrMidFlow)
	bare4, bare6 := ipv4.NewConn(c.TCPConn).SetTOS(0x20), ipv6.NewConn(c.TCPConn).SetTrafficClass(0x20)
	require.ErrorIs(t, bare4, unix.EPERM)
	require.ErrorIs(t, bare6, unix.EPERM, "IPv6 %t", ipv6Socket)
	require.NoError(t, ipv4.NewConn(c.TCPConn).SetTTL(9))

	raw, err := c.SyscallConn()
	require.NoError(t, err)
	bareRaw, err := c.TCPConn.SyscallConn()
	require.NoError(t, err)
	for _, raw := range []syscall.RawConn{raw, bareRaw} {
		for name, run := range map[string]func(f func(fd uintptr)) error{
			"Control": raw.Control,
			"Read":    func(f func(fd uintptr)) error { return raw.Read(func(fd uintptr) bool { f(fd); return true }) },
			"Write":   func(f func(fd uintptr)) error { return raw.Write(func(fd uintptr) bool { f(fd); return true }) },
		} {
			var inner error
			require.NoError(t, run(func(fd uintptr) { inner = setOctet(fd, f, 0x20) }), name)
			require.ErrorIs(t, inner, unix.EPERM, name)
		}
		for _, network := range []string{"tcp4", "tcp6"} {
			require.ErrorIs(t, dscp.Control(dscp.CS1)(network, c.RemoteAddr().String(), raw), dscp.ErrMidFlow, "package dscp's own hook")
		}
	}
	file, err := c.File()
	require.NoError(t, err)
	require.ErrorIs(t, setOctet(file.Fd(), f, 0x20), unix.EPERM)
	require.NoError(t, file.Close())
	require.NoError(t, c.Verify())
}

// TestSealedChild runs in a child of a sealed process.
func TestSealedChild(t *testing.T) {
	if os.Getenv(childEnv) != t.Name() {
		t.Skip("runs only as a child of TestSeal")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.ErrorIs(t, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x20), unix.EPERM)
	require.ErrorIs(t, dscp.Seal(), unix.EPERM, "a second seal could not mark: the parent's filter expects another secret")
}

// requireUnsealed checks that a Seal which failed changed nothing: the guard watches
// closures, and other code can set marks.
func requireUnsealed(t *testing.T) {
	t.Helper()
	for _, f := range families {
		client, server := f.connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{DSCP: dscp.EF}))
		raw, err := client.(*dscp.Conn).SyscallConn()
		require.NoError(t, err)
		require.ErrorIs(t, raw.Control(func(fd uintptr) { assert.NoError(t, setOctet(fd, f, 0x20)) }), dscp.ErrMidFlow, "the guard watches closures")
		bare, err := client.(*dscp.Conn).TCPConn.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, bare.Control(func(fd uintptr) { assert.NoError(t, setOctet(fd, f, 0x20)) }), "the process is not sealed")
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	}
}

// refuseFilters makes seccomp(2) fail with errno in this process.
func refuseFilters(t *testing.T, errno syscall.Errno) {
	t.Helper()
	p := new(seccomp.Program)
	p.When(func() { p.Return(seccomp.Errno(errno)) }, seccomp.Number.Is(unix.SYS_SECCOMP))
	p.Return(seccomp.Allow)
	if err := p.InstallAll(); err != nil {
		testns.Lacks(t, "cannot install a seccomp filter: %v", err)
	}
}

// TestSealWhereFiltersAreForbidden makes seccomp(2) fail as the profile of a container
// does.
func TestSealWhereFiltersAreForbidden(t *testing.T) {
	needSealedArchitecture(t)
	if !inChild(t) {
		return
	}
	refuseFilters(t, unix.EPERM)
	err := dscp.Seal()
	require.ErrorIs(t, err, unix.EPERM)
	require.NotErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "container")
	requireUnsealed(t)
}

// TestSealWithoutSeccomp makes seccomp(2) fail as on a kernel without it.
func TestSealWithoutSeccomp(t *testing.T) {
	if !inChild(t) {
		return
	}
	refuseFilters(t, unix.ENOSYS)
	err := dscp.Seal()
	u, ok := errors.AsType[*dscp.UnsupportedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "seccomp", u.Option)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	requireUnsealed(t)
}

// TestSealBesideAnotherFilter installs another filter in one thread, so that the kernel
// refuses one filter for all threads.
func TestSealBesideAnotherFilter(t *testing.T) {
	needSealedArchitecture(t)
	if !inChild(t) {
		return
	}
	installed, end := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		p := new(seccomp.Program)
		p.Return(seccomp.Allow)
		installed <- p.Install()
		<-end
	}()
	if err := <-installed; err != nil {
		testns.Lacks(t, "cannot install a seccomp filter: %v", err)
	}
	require.ErrorIs(t, dscp.Seal(), unix.EBUSY)
	requireUnsealed(t)
	close(end)
}

// TestSealedGuardMakesNoSystemCallsChild runs in the process that
// TestSealedGuardMakesNoSystemCalls traces.
func TestSealedGuardMakesNoSystemCallsChild(t *testing.T) {
	if os.Getenv("DSCP_SEALED_CALLS") == "" {
		t.Skip("runs only as a child of TestSealedGuardMakesNoSystemCalls")
	}
	seal(t)
	client, server := families[0].connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{}))
	for range flows {
		raw, err := client.(*dscp.Conn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(uintptr) {}))
		require.NoError(t, raw.Read(func(uintptr) bool { return true }))
		require.NoError(t, raw.Write(func(uintptr) bool { return true }))
		require.ErrorIs(t, ipv4.NewConn(client.(*dscp.Conn)).SetTOS(0x20), dscp.ErrMidFlow)
	}
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
}

// TestSealedGuardMakesNoSystemCalls counts the system calls that get or set a mark. Only
// the dial and Seal's own trial make any.
func TestSealedGuardMakesNoSystemCalls(t *testing.T) {
	t.Parallel()
	trace := strace(t, "getsockopt,setsockopt", "TestSealedGuardMakesNoSystemCallsChild", "DSCP_SEALED_CALLS=1")
	if !strings.Contains(trace, "IP_TOS") {
		testns.Lacks(t, "the traced process could not seal itself")
	}
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`([gs]etsockopt)\(\d+, \w+, (IP_TOS|IPV6_TCLASS|SO_PRIORITY)\b`).FindAllStringSubmatch(trace, -1) {
		got[m[1]+" "+m[2]]++
	}
	assert.Equal(t, map[string]int{
		"setsockopt IP_TOS": 1 + 3, // the dial's, and those of Seal's trial
		"getsockopt IP_TOS": 2 + 2, // both ends', and those of Seal's trial
	}, got)
}
