package dscp

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// sealed says that Seal has succeeded. Its mutex is held by a Seal at work.
var sealed struct {
	sync.Mutex
	done atomic.Bool
}

// Seal has the kernel refuse, from now on and in the whole process, every system
// call that sets a mark, unless this package makes it. It cannot be undone. Every
// program that the process starts inherits it, so that none of them can mark
// anything: ssh prints an error for each connection. Nor do setuid programs gain
// their privileges in them (no_new_privs): sudo, su, ping and mount fail.
//
// Seal stops mistakes, not malice. It is a filter of system calls (seccomp, mode
// 2) on all threads, present and future, of Go and of C, that lets IP_TOS and
// IPV6_TCLASS pass only with a secret, which is in the memory of the process.
// What is refused fails with EPERM, on sockets that are not connected yet as well:
// a program that marks some of its sockets by itself cannot be sealed.
//
// What changes for the conns of this package:
//
//   - Nothing that runs in the process changes the option of a live conn:
//     SyscallConn with unknown functions, File, the embedded conns and
//     x/net's packages on them, C code. The Conn does not look after it any more,
//     which saves it its own system calls.
//   - x/net's SetTOS and SetTrafficClass on a Conn or a UDPConn return an error that
//     matches [ErrMidFlow], even for the pinned mark. A function given to SyscallConn
//     gets EPERM from its own call.
//   - [Control] and the hooks of [Dialer.Marked] and [ListenConfig.Marked] do not
//     mark a TCP socket that is connected: ErrMidFlow.
//
// What Seal does not stop: control messages of single datagrams, which [UDPConn]
// judges in its own methods; other processes that have the same descriptor; packet
// filters and programs in the kernel, which need privileges.
//
// The filter takes more than marks: IPV6_FLOWINFO_SEND, with which the address of
// a datagram can have a Traffic Class, fails with EPERM; io_uring, x32, and the
// calls of other ABIs fail with ENOSYS; 32-bit programs on 64-bit systems cannot
// mark at all. It costs each system call some nanoseconds.
//
// Seal may be called several times, and by several goroutines at once. After the
// first success it returns nil and does nothing. An error means that nothing has
// changed: an [UnsupportedError] on other systems than Linux, on other
// architectures than amd64 and arm64, and on kernels without such filters; else
// what Linux said, such as EPERM where the profile of a container forbids filters,
// or EBUSY where another thread has a filter of its own.
func Seal() error {
	sealed.Lock()
	defer sealed.Unlock()
	if sealed.done.Load() {
		return nil
	}
	if err := sealProcess(); err != nil {
		return err
	}
	sealed.done.Store(true)
	return nil
}

// isSealed reports whether the kernel looks after the marks.
func isSealed() bool { return sealed.done.Load() }

// errSealed is the error of x/net's methods that set a mark on a pinned conn.
var errSealed = fmt.Errorf("%w: the process is sealed", ErrMidFlow)

// errSealedConnected is the error of a hook on a connected socket.
var errSealedConnected = fmt.Errorf("%w: the process is sealed and the socket is connected", ErrMidFlow)
