package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// children are the functions that run in child processes, because a filter on all threads
// cannot be removed. They print what the test checks.
var children = map[string]func(){
	"all threads":     allThreads,
	"another filter":  anotherFilter,
	"no filters":      noFilters,
	"guard":           guarded,
	"guard, then run": guardThenRun,
	"two listeners":   twoListeners,
}

func child(t *testing.T, name string, args ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), marker+"="+name)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), "%s", &out)
	return out.String()
}

func exdev() *Program {
	var p Program
	p.When(func() { p.Return(Errno(unix.EXDEV)) }, Number.Is(unix.SYS_SETSOCKOPT))
	p.Return(Allow)
	return &p
}

// statusOf counts the threads of this process by the value of a line of their status.
func statusOf(line string) (with, threads int) {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		threads++
		if bytes.Contains(b, []byte(line)) {
			with++
		}
	}
	return with, threads
}

func allThreads() {
	stop := make(chan bool)
	var ready, refused sync.WaitGroup
	var got [16]error
	ask := func(i int) {
		defer refused.Done()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ready.Done()
		<-stop
		got[i] = call()
	}
	ready.Add(8)
	refused.Add(16)
	for i := range 8 { // threads that exist before
		go ask(i)
	}
	ready.Wait()
	if err := exdev().InstallAll(); err != nil {
		fmt.Println(err)
		return
	}
	ready.Add(8)
	for i := range 8 { // and threads that start later
		go ask(8 + i)
	}
	ready.Wait()
	close(stop)
	refused.Wait()
	for _, err := range got {
		if !errors.Is(err, unix.EXDEV) {
			fmt.Println("a thread got", err)
		}
	}
	n, all := statusOf("Seccomp:\t2")
	m, _ := statusOf("NoNewPrivs:\t1")
	fmt.Println(n == all, m == all, all >= 16)
}

func TestInstallAll(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "true true true\n", child(t, "all threads"))
}

func anotherFilter() {
	var own sync.WaitGroup
	own.Add(1)
	stop := make(chan bool)
	ended := make(chan bool)
	go onNewThread(func() bool {
		defer close(ended)
		if err := exdev().Install(); err != nil {
			fmt.Println(err)
		}
		own.Done()
		<-stop
		return false
	})
	own.Wait()
	for range 3 {
		err := exdev().InstallAll()
		fmt.Println(errors.Is(err, unix.EBUSY), err != nil && strings.Contains(err.Error(), "has another filter"))
	}
	fmt.Println(call() == unix.EBADF)
	// The threads on which InstallAll tried end: no filter is left.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n, _ := statusOf("NoNewPrivs:\t1")
		m, _ := statusOf("Seccomp:\t2")
		if n == 1 && m == 1 || time.Now().After(deadline) {
			fmt.Println(n, m)
			break
		}
	}
	close(stop)
	<-ended
}

// TestInstallAllBesideAnotherFilter checks that InstallAll changes nothing if it fails.
func TestInstallAllBesideAnotherFilter(t *testing.T) {
	t.Parallel()
	assert.Equal(t, strings.Repeat("true true\n", 3)+"true\n1 1\n", child(t, "another filter"))
}

func noFilters() {
	// As in Docker's profile if filters are not permitted.
	var p Program
	p.When(func() { p.Return(Errno(unix.EPERM)) }, Number.Is(unix.SYS_SECCOMP))
	p.Return(Allow)
	if err := p.InstallAll(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exdev().InstallAll())
	_, err := exdev().InstallListener(true)
	fmt.Println(err)
}

func TestFiltersForbidden(t *testing.T) {
	t.Parallel()
	want := "seccomp: filters are not permitted, perhaps by a container's profile: seccomp: operation not permitted\n"
	assert.Equal(t, want+want, child(t, "no filters"))
}

func twoListeners() {
	runtime.LockOSThread()
	var p Program
	p.Return(Allow)
	if _, err := p.InstallListener(false); err != nil {
		fmt.Println(err)
		return
	}
	_, err := p.InstallListener(false)
	fmt.Println(errors.Is(err, unix.EBUSY), err)
}

func TestOneListener(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "true seccomp: this process is supervised already, and Linux allows one supervisor only: seccomp: device or resource busy\n", child(t, "two listeners"))
}

const cookie = 0xfeedface_cafebabe

var tos, tclass = Option{unix.IPPROTO_IP, unix.IP_TOS}, Option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}

// set calls setsockopt with a length and a sixth argument.
func set(fd int, o Option, val, length, sixth uint64) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.Level), uintptr(o.Name), uintptr(unsafe.Pointer(&val)), uintptr(length), uintptr(sixth))
	if errno != 0 {
		return errno
	}
	return nil
}

func installGuard() bool {
	p, err := Guard(cookie, tos, tclass)
	if err == nil {
		err = p.InstallAll()
	}
	if err != nil {
		fmt.Println(err)
	}
	return err == nil
}

func guarded() {
	if !installGuard() {
		return
	}
	for _, s := range []struct {
		domain, typ int
		o           Option
	}{
		{unix.AF_INET, unix.SOCK_STREAM, tos}, {unix.AF_INET, unix.SOCK_DGRAM, tos},
		{unix.AF_INET6, unix.SOCK_STREAM, tos}, {unix.AF_INET6, unix.SOCK_STREAM, tclass},
		{unix.AF_INET6, unix.SOCK_DGRAM, tclass},
	} {
		fd, err := unix.Socket(s.domain, s.typ|unix.SOCK_CLOEXEC, 0)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		for _, refused := range []struct{ length, sixth uint64 }{
			{4, 0}, {1, 0}, {8, 0}, {4, cookie}, {12, cookie},
			{8, cookie ^ 1<<40}, {8, cookie ^ 1}, {8, cookie & 0xffffffff}, {8, cookie >> 32},
		} {
			if err := set(fd, s.o, 0x20, refused.length, refused.sixth); !errors.Is(err, unix.EPERM) {
				fmt.Printf("%+v %+v: %v\n", s, refused, err)
			}
		}
		for _, octet := range []uint64{0x48, 0xb8 | 0xdead<<40} {
			if err := set(fd, s.o, octet, SecretLength, cookie); err != nil {
				fmt.Printf("%+v with the secret: %v\n", s, err)
			}
			if v, err := unix.GetsockoptInt(fd, s.o.Level, s.o.Name); err != nil || v != int(octet&0xff) {
				fmt.Printf("%+v is %#x: %v\n", s, v, err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			fmt.Println("SO_KEEPALIVE:", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 9); err != nil {
			fmt.Println("IP_TTL:", err)
		}
		unix.Close(fd)
	}
	for nr := uintptr(425); nr <= 427; nr++ {
		if _, _, errno := unix.Syscall(nr, ^uintptr(0), 0, 0); errno != unix.ENOSYS {
			fmt.Println("io_uring:", nr, errno)
		}
	}
	if runtime.GOARCH == "amd64" {
		const x32 = 0x40000000
		if _, _, errno := unix.Syscall6(x32|541, ^uintptr(0), unix.IPPROTO_IP, unix.IP_TOS, 0, 0, 0); errno != unix.ENOSYS {
			fmt.Println("x32:", errno)
		}
	}
	fmt.Println("checked")
}

func needABIs(t *testing.T) {
	t.Helper()
	if len(ABIs()) == 0 {
		_, err := Guard(0)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		t.Skip(err)
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	needABIs(t)
	assert.Equal(t, "checked\n", child(t, "guard"))
}

func guardThenRun() {
	if installGuard() {
		fmt.Println(unix.Exec(os.Args[1], os.Args[1:], os.Environ()))
	}
}

// foreign is a program for another ABI of the machine, in which Go's setsockopt is a call
// of that ABI, or a socketcall(2).
const foreign = `package main

import ("fmt"; "syscall"; "unsafe")

func main() {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS, 0x48))
	v := int32(0x48)
	_, _, errno := syscall.Syscall6(NUMBER, uintptr(fd), syscall.IPPROTO_IP, syscall.IP_TOS, uintptr(unsafe.Pointer(&v)), 4, 0)
	fmt.Println(errno)
	_, _, errno = syscall.Syscall6(NUMBER, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, uintptr(unsafe.Pointer(&v)), 4, 0)
	fmt.Println(errno == 0)
	_, _, errno = syscall.Syscall(425, 1, 0, 0)
	fmt.Println(errno)
	v, _ = getsockopt(fd)
	fmt.Println(v)
}

func getsockopt(fd int) (int32, error) {
	v, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS)
	return int32(v), err
}
`

// TestGuardOtherABI runs a 32-bit program under the guard of a 64-bit one. It runs, and
// cannot set the options.
func TestGuardOtherABI(t *testing.T) {
	t.Parallel()
	needABIs(t)
	arch := map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH]
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	text := strings.ReplaceAll(foreign, "NUMBER", fmt.Sprint(ABIs()[1].Setsockopt))
	if arch == "386" { // whose package syscall has no such function
		text = strings.ReplaceAll(text, "v, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS)",
			"var v, n int32 = 0, 4\n\t_, _, err := syscall.Syscall6(365, uintptr(fd), syscall.IPPROTO_IP, syscall.IP_TOS, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&n)), 0)")
	}
	require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=") // without -race of this run
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("no program for %s can be built here: %v\n%s", arch, err, out)
	}
	if err := exec.CommandContext(t.Context(), program).Run(); err != nil {
		t.Skipf("programs for %s do not run here: %v", arch, err)
	}
	own := "function not implemented" // of socketcall
	if arch == "arm" {
		own = "operation not permitted"
	}
	assert.Equal(t, own+"\noperation not permitted\ntrue\nfunction not implemented\n0\n", child(t, "guard, then run", program))
}
