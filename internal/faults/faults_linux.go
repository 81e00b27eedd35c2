// Package faults makes the system calls of a test fail, one after the other, at the
// border to the kernel. It needs no hook in the code under test, no privilege and no
// debugger.
//
// A test that runs [Inside] is a child process under a seccomp filter. For each call
// that makes or configures a socket the kernel asks the parent. The parent allows the
// call or makes it fail with an error, as the child has requested. [Watch] returns
// the calls that a function makes, [Inject] makes some of them fail, and [At] calls
// another function while one of them waits.
package faults

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

// Inside runs the calling test in a child process in a new network namespace, as
// [testns.Inside] does. The system calls of the child can be made to fail. If the
// kernel or a container does not permit such filters, t is skipped with the reason, or
// fails if CI is set.
func Inside(t *testing.T) bool {
	t.Helper()
	if runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skipf("on %s all socket calls have one number, which a filter cannot tell apart", runtime.GOARCH)
	}
	return testns.InsideFrom(t, supervise)
}

// A Call is a system call that was made.
type Call struct {
	Number uintptr
	// For setsockopt and getsockopt the level and the option, for socket the
	// domain and the protocol, otherwise 0.
	X, Y int
}

// Option reports whether c sets or gets the socket option.
func (c Call) Option(level, option int) bool {
	return (c.Number == unix.SYS_SETSOCKOPT || c.Number == unix.SYS_GETSOCKOPT) && c.X == level && c.Y == option
}

func (c Call) String() string {
	name := names[c.Number]
	switch c.Number {
	case unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT:
		if option, ok := options[[2]int{c.X, c.Y}]; ok {
			return name + " " + option
		}
		return fmt.Sprintf("%s (%d, %d)", name, c.X, c.Y)
	case unix.SYS_SOCKET:
		return fmt.Sprintf("%s (%d, protocol %d)", name, c.X, c.Y)
	}
	return name
}

// Watch runs f and returns the calls that the process made meanwhile, in order. It
// makes none of them fail.
func Watch(f func()) []Call {
	ask(begin, 0, 0)
	f()
	calls := make([]Call, ask(end))
	for i := range calls {
		calls[i] = callAt(i)
	}
	return calls
}

// Mask says which calls fail: the n-th if bit n is set, counted from 0. Bit 63 is for
// the call 63 and all after it.
type Mask uint64

// Only is the mask of the n-th call, From that of the n-th call and all after it.
func Only(n int) Mask { return 1 << n }
func From(n int) Mask { return ^Mask(0) << n }

func (m Mask) has(n int) bool { return m>>min(n, 63)&1 == 1 }

// Inject runs f, makes the calls in mask fail with errno, and returns those that
// failed. The kernel does not make them. With errno 0 they return 0, as if they had
// succeeded.
func Inject(mask Mask, errno syscall.Errno, f func()) []Call {
	ask(begin, uintptr(mask>>32), uintptr(mask&0xffffffff), uintptr(errno))
	f()
	var failed []Call
	for i := range int(ask(end)) {
		if mask.has(i) {
			failed = append(failed, callAt(i))
		}
	}
	return failed
}

// At runs f, and runs do while the n-th call of f waits to be made. If that call makes a
// socket, At takes the next one, because Go's scheduler waits for calls of socket. It
// reports whether there was such a call.
func At(n int, do, f func()) (reached bool) {
	ask(begin)
	ask(hold, uintptr(n))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if reached = ask(await) == 1; reached {
			do()
			ask(resume)
		}
	}()
	f()
	ask(end) // ends the await, if the call has not come
	<-done
	return reached
}

// RefuseSockets makes every call of socket(2) for the protocol of the domain fail with
// errno from now on. Zero means any domain or protocol.
func RefuseSockets(domain, protocol int, errno syscall.Errno) {
	ask(refuse, uintptr(domain), uintptr(protocol), uintptr(errno))
}

func callAt(i int) Call {
	return Call{ask(number, uintptr(i)), int(ask(x, uintptr(i))), int(ask(y, uintptr(i)))}
}

// A command is a request of the child to its parent. It is a setsockopt on the
// descriptor -1, which no program uses otherwise.
type command uintptr

const (
	begin  command = iota + 1 // begins counting; takes the mask in two halves, and errno
	end                       // ends counting; returns how many calls there were
	hold                      // takes the number of the call to hold
	await                     // returns 1 once that call has come, and 0 if it does not
	resume                    // makes that call
	number                    // takes the index of a call; returns Call.Number
	x                         // takes the index of a call; returns Call.X
	y                         // takes the index of a call; returns Call.Y
	refuse                    // takes domain, protocol and errno
)

const nowhere = ^uintptr(0)

func ask(c command, args ...uintptr) uintptr {
	var a [3]uintptr
	copy(a[:], args)
	answer, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, nowhere, uintptr(c), a[0], a[1], a[2], 0)
	if errno != 0 {
		panic("faults: used outside of a test that runs Inside: " + errno.Error())
	}
	return answer
}

// names are the calls about which the kernel asks the parent.
var names = map[uintptr]string{
	unix.SYS_SOCKET:     "socket",
	unix.SYS_SETSOCKOPT: "setsockopt",
	unix.SYS_GETSOCKOPT: "getsockopt",
	unix.SYS_BIND:       "bind",
	unix.SYS_CONNECT:    "connect",
	unix.SYS_LISTEN:     "listen",
	unix.SYS_ACCEPT4:    "accept4",
	unix.SYS_SENDMSG:    "sendmsg",
	unix.SYS_SENDMMSG:   "sendmmsg",
}

// options are the options that occur in this module's tests.
var options = map[[2]int]string{
	{unix.SOL_SOCKET, unix.SO_BROADCAST}:      "SO_BROADCAST",
	{unix.SOL_SOCKET, unix.SO_ERROR}:          "SO_ERROR",
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:      "SO_KEEPALIVE",
	{unix.SOL_SOCKET, unix.SO_PROTOCOL}:       "SO_PROTOCOL",
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}:      "SO_REUSEADDR",
	{unix.IPPROTO_IP, unix.IP_TOS}:            "IP_TOS",
	{unix.IPPROTO_IP, unix.IP_RECVTOS}:        "IP_RECVTOS",
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:     "IPV6_TCLASS",
	{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}: "IPV6_RECVTCLASS",
	{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}:     "IPV6_V6ONLY",
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:      "TCP_KEEPCNT",
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:     "TCP_KEEPIDLE",
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:    "TCP_KEEPINTVL",
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:      "TCP_NODELAY",
	{unix.IPPROTO_TCP, unix.TCP_SAVE_SYN}:     "TCP_SAVE_SYN",
	{unix.IPPROTO_TCP, unix.TCP_SAVED_SYN}:    "TCP_SAVED_SYN",
}
