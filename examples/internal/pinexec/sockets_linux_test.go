//go:build amd64 || arm64

package pinexec

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

func init() {
	probes["sockets"] = probeSockets
	probes["remark"] = probeRemark
	probes["others"] = probeOthers
	probes["limit"] = probeLimit
	probes["inherited"] = probeInherited
	probes["go"] = probeGo
}

// kinds are the kinds of sockets that pinexec marks.
var kinds = []struct {
	name                  string
	domain, typ, protocol int
}{
	{"tcp4", unix.AF_INET, unix.SOCK_STREAM, 0},
	{"tcp4 by number", unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, unix.IPPROTO_TCP},
	{"non-blocking tcp4", unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_NONBLOCK, 0},
	{"udp4", unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, 0},
	{"udplite4", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
	{"tcp6", unix.AF_INET6, unix.SOCK_STREAM, 0},
	{"udp6", unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, unix.IPPROTO_UDP},
}

// describe returns the properties of a socket that a program can read.
func describe(fd int) string {
	ask := func(option int) int {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return -1
		}
		return v
	}
	status, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return fmt.Sprintf("domain %d, type %d, protocol %d, non-blocking %t, close on exec %t", ask(unix.SO_DOMAIN), ask(unix.SO_TYPE),
		ask(unix.SO_PROTOCOL), status&unix.O_NONBLOCK != 0, flags&unix.FD_CLOEXEC != 0)
}

func probeSockets([]string) {
	for _, k := range kinds {
		fd, err := unix.Socket(k.domain, k.typ, k.protocol)
		if err != nil {
			fmt.Printf("%s: %v\n", k.name, err)
			continue
		}
		fmt.Printf("%s: %s: %s\n", k.name, describe(fd), markOf(fd))
		unix.Close(fd)
	}
	for _, wrong := range [][3]int{{unix.AF_INET, 99, 0}, {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP}, {unix.AF_INET6, unix.SOCK_SEQPACKET, 250}, {999, unix.SOCK_STREAM, 0}} {
		_, err := unix.Socket(wrong[0], wrong[1], wrong[2])
		fmt.Printf("%v: %v\n", wrong, err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	fmt.Println(pair[1]-pair[0], err)
}

// TestSocketsDifferOnlyInMark claims that the sockets differ only in the mark from those that
// the kernel makes without pinexec, and that descriptor numbers and errors are the
// same.
func TestSocketsDifferOnlyInMark(t *testing.T) {
	t.Parallel()
	p := probe(t, "sockets")
	bare := output(t, exec.Command(p[0], p[1:]...))
	want := strings.NewReplacer(": 0x00 0x00\n", ": 0x48 0x48\n", ": 0x00\n", ": 0x48\n").Replace(bare)
	require.NotEqual(t, bare, want)
	assert.Equal(t, want, output(t, pinned(t, []string{"AF21"}, p...)))
	assert.Equal(t, want, output(t, pinned(t, []string{"-strict", "AF21"}, p...)))
	assert.Equal(t, bare, output(t, pinned(t, []string{"DF"}, p...)))
}

// remarking are the options by which a socket could get another mark.
var remarking = []struct{ domain, level, option int }{
	{unix.AF_INET, unix.IPPROTO_IP, unix.IP_TOS},
	{unix.AF_INET6, unix.IPPROTO_IP, unix.IP_TOS},
	{unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	{unix.AF_INET6, unix.IPPROTO_IPV6, flowinfoSend},
}

func probeRemark([]string) {
	for _, r := range remarking {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			fd, err := unix.Socket(r.domain, typ|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				fmt.Println(err)
				continue
			}
			before := markOf(fd)
			err = unix.SetsockoptInt(fd, r.level, r.option, 0x20)
			b := byte(0x20)
			_, _, one := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(r.level), uintptr(r.option), uintptr(unsafe.Pointer(&b)), 1, 0)
			// The upper half of a register does not matter to the kernel.
			_, _, high := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(r.level)|7<<32, uintptr(r.option)|7<<32, uintptr(unsafe.Pointer(&b)), 1, 0)
			sends := 0
			if r.option == flowinfoSend {
				sends, _ = unix.GetsockoptInt(fd, r.level, r.option)
			}
			fmt.Println(err, one, high, before == markOf(fd), sends)
			// Other options work.
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 9); err != nil {
				fmt.Println(err)
			}
			if ttl, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL); ttl != 9 {
				fmt.Println(ttl)
			}
			unix.Close(fd)
		}
	}
}

// TestRemarking claims that no option changes the mark: setting it succeeds without
// effect, or fails with EPERM under -strict.
func TestRemarking(t *testing.T) {
	t.Parallel()
	if !hasIPv6() {
		t.Skip("no IPv6")
	}
	n := 2 * len(remarking)
	for _, mark := range []string{"AF21", "DF"} {
		assert.Equal(t, strings.Repeat("<nil> errno 0 errno 0 true 0\n", n), output(t, pinned(t, []string{mark}, probe(t, "remark")...)))
		refused := unix.EPERM.Error()
		assert.Equal(t, strings.Repeat(fmt.Sprintf("%s %s %s true 0\n", refused, refused, refused), n),
			output(t, pinned(t, []string{"-strict", mark}, probe(t, "remark")...)))
	}
}

func probeOthers([]string) {
	for nr := uintptr(425); nr <= 427; nr++ {
		_, _, errno := unix.Syscall(nr, ^uintptr(0), 0, 0)
		fmt.Println(errno == unix.ENOSYS)
	}
	for _, domain := range []int{unix.AF_INET, unix.AF_INET6} {
		_, err := unix.Socket(domain, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		fmt.Println(err)
	}
	_, err := unix.Socket(afSMC, unix.SOCK_STREAM, 0)
	fmt.Println(err)
	if runtime.GOARCH == "amd64" { // x32
		_, _, errno := unix.Syscall(0x40000000|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
		fmt.Println(errno)
	} else {
		fmt.Println(unix.ENOSYS)
	}
}

// TestOtherWaysFail claims that io_uring, MPTCP, SMC and the x32 ABI, which could
// make sockets without a mark, are not available.
func TestOtherWaysFail(t *testing.T) {
	t.Parallel()
	assert.Equal(t, lines("true", "true", "true", unix.EPROTONOSUPPORT.Error(), unix.EPROTONOSUPPORT.Error(),
		unix.EAFNOSUPPORT.Error(), unix.ENOSYS.Error()), output(t, pinned(t, []string{"AF21"}, probe(t, "others")...)))
}

func probeLimit([]string) {
	limit := unix.Rlimit{Cur: 40, Max: 40}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Println(err)
	}
	var fds []int
	var err error
	for err == nil && len(fds) < 100 {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	last := fds[len(fds)-1]
	for _, fd := range fds {
		unix.Close(fd)
	}
	again, err2 := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	fmt.Println(err, last, again == fds[0], err2)
}

// TestLimitOfDescriptors claims that the program's limit of descriptors applies: a
// socket above it fails with EMFILE, and leaves no descriptor open.
func TestLimitOfDescriptors(t *testing.T) {
	t.Parallel()
	assert.Equal(t, fmt.Sprintf("%v 39 true <nil>\n", unix.EMFILE), output(t, pinned(t, []string{"AF21"}, probe(t, "limit")...)))
}

func probeInherited(args []string) {
	for i, name := range args {
		fmt.Printf("%s: %s", name, markOf(3+i))
		if err := unix.SetsockoptInt(3+i, unix.IPPROTO_IP, unix.IP_TOS, 0x20); err != nil {
			fmt.Print(" ", err)
		}
		fmt.Printf(", then %s\n", markOf(3+i))
	}
	// A socket that arrives later, in a message.
	conn, err := net.FileConn(os.NewFile(3+uintptr(len(args)), ""))
	if err != nil {
		fmt.Println(err)
		return
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		fmt.Println(err)
		return
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		fmt.Println(err)
		return
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	fmt.Printf("passed: %s %v", markOf(fds[0]), err)
	err = unix.SetsockoptInt(fds[0], unix.IPPROTO_IP, unix.IP_TOS, 0x20)
	fmt.Printf(" %v, then %s\n", err, markOf(fds[0]))
}

// TestInheritedSockets claims that pinexec marks inherited sockets that have no
// flow, leaves inherited sockets with a flow and sockets that arrive later as they
// are, and that the program can re-mark none of them.
func TestInheritedSockets(t *testing.T) {
	t.Parallel()
	socket := func(typ int) *os.File {
		fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		f := os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { f.Close() })
		return f
	}
	here := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	idle, datagrams, listening := socket(unix.SOCK_STREAM), socket(unix.SOCK_DGRAM), socket(unix.SOCK_STREAM)
	require.NoError(t, unix.Bind(int(listening.Fd()), &here))
	require.NoError(t, unix.Listen(int(listening.Fd()), 5))
	where, err := unix.Getsockname(int(listening.Fd()))
	require.NoError(t, err)
	connected, connectedUDP, connecting := socket(unix.SOCK_STREAM), socket(unix.SOCK_DGRAM), socket(unix.SOCK_STREAM)
	for _, f := range []*os.File{connected, connectedUDP, connecting} {
		require.NoError(t, unix.SetsockoptInt(int(f.Fd()), unix.IPPROTO_IP, unix.IP_TOS, 0xb8))
	}
	require.NoError(t, unix.Connect(int(connected.Fd()), where))
	require.NoError(t, unix.Connect(int(connectedUDP.Fd()), where))
	// This listener's queue is full, so that the SYN of connecting gets no answer.
	full := socket(unix.SOCK_STREAM)
	require.NoError(t, unix.Bind(int(full.Fd()), &here))
	require.NoError(t, unix.Listen(int(full.Fd()), 0))
	to, err := unix.Getsockname(int(full.Fd()))
	require.NoError(t, err)
	for range 2 {
		filler := socket(unix.SOCK_STREAM)
		require.NoError(t, unix.SetNonblock(int(filler.Fd()), true))
		if err := unix.Connect(int(filler.Fd()), to); err != nil {
			require.ErrorIs(t, err, unix.EINPROGRESS)
		}
	}
	require.NoError(t, unix.SetNonblock(int(connecting.Fd()), true))
	require.ErrorIs(t, unix.Connect(int(connecting.Fd()), to), unix.EINPROGRESS)

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), pair[1]
	defer theirs.Close()
	defer unix.Close(ours)
	require.NoError(t, unix.Sendmsg(ours, []byte{0}, unix.UnixRights(int(socket(unix.SOCK_STREAM).Fd())), nil, 0))

	cmd := pinned(t, []string{"AF21"}, probe(t, "inherited", "idle", "datagrams", "listening", "connected", "connected udp", "connecting")...)
	cmd.ExtraFiles = []*os.File{idle, datagrams, listening, connected, connectedUDP, connecting, theirs}
	assert.Equal(t, lines(
		"idle: 0x48, then 0x48", "datagrams: 0x48, then 0x48", "listening: 0x48, then 0x48",
		"connected: 0xb8, then 0xb8", "connected udp: 0xb8, then 0xb8", "connecting: 0xb8, then 0xb8",
		"passed: 0x00 <nil> <nil>, then 0x00"), output(t, cmd))
}

func probeGo(args []string) {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	rc, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		fmt.Println(err)
		return
	}
	rc.Control(func(fd uintptr) { fmt.Println(markOf(int(fd))) })
}

// TestGoNet claims that package net works, whose listeners try Multipath TCP first.
func TestGoNet(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "0x48\n", output(t, pinned(t, []string{"AF21"}, probe(t, "go", "127.0.0.1:0")...)))
	if hasIPv6() {
		assert.Equal(t, "0x48 0x48\n", output(t, pinned(t, []string{"AF21"}, probe(t, "go", "[::1]:0")...)))
	}
}

// wordsize32 is a program for the machine's 32-bit ABI. On 386 Go makes all socket
// calls through socketcall(2).
const wordsize32 = `package main

import ("fmt"; "net"; "golang.org/x/net/ipv4"; "golang.org/x/net/ipv6")

func main() {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Println(err)
			continue
		}
		go func() { if c, err := l.Accept(); err == nil { c.Close() } }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			continue
		}
		if addr[0] != '[' {
			fmt.Print(ipv4.NewConn(c).SetTOS(0x20), " ")
			fmt.Println(ipv4.NewConn(c).TOS())
		} else {
			fmt.Print(ipv6.NewConn(c).SetTrafficClass(0x20), " ")
			fmt.Println(ipv6.NewConn(c).TrafficClass())
		}
		fmt.Println(ipv4.NewConn(c).SetTTL(9))
	}
	_, err := net.Listen("unix", "@pinexec-test")
	fmt.Println(err)
}
`

// TestOtherABI claims that pinexec marks the sockets of a 32-bit program, and that
// it cannot re-mark them.
func TestOtherABI(t *testing.T) {
	t.Parallel()
	arch := map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH]
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(wordsize32), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=") // without a -race in GOFLAGS
	if out, err := build.CombinedOutput(); err != nil {
		testns.Lacks(t, "programs for %s cannot be built here: %v\n%s", arch, err, out)
	}
	if err := exec.CommandContext(t.Context(), program).Run(); err != nil {
		testns.Lacks(t, "programs for %s do not run here: %v", arch, err)
	}
	assert.Equal(t, strings.Repeat("<nil> 72 <nil>\n<nil>\n", 2)+"<nil>\n", output(t, pinned(t, []string{"AF21"}, program)))
	strict := output(t, pinned(t, []string{"-strict", "AF21"}, program))
	assert.Equal(t, 2, strings.Count(strict, "operation not permitted 72 <nil>\n<nil>\n"), "%s", strict)
}
