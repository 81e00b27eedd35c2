package dscp

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// sealed has done set after Seal has succeeded. Seal holds the mutex while it runs.
var sealed struct {
	sync.Mutex
	done atomic.Bool
}

// Seal makes the kernel refuse every system call of the process that sets a mark,
// unless this package makes it. It cannot be undone. Programs that the process starts
// inherit the seal, so they cannot mark either: ssh prints an error for each connection.
// Setuid programs do not gain privileges in them (no_new_privs): sudo, su, ping and
// mount fail.
//
// Seal prevents mistakes; it does not stop malicious code in the process. It installs a
// filter of system calls (seccomp, mode 2) on all present and future threads, of Go and
// of C. The filter lets IP_TOS and IPV6_TCLASS pass only with a secret, which is in the
// memory of the process. Other calls fail with EPERM, also on sockets that are not
// connected yet. So a program that marks some of its sockets itself cannot be sealed.
//
// For the conns of this package Seal has these effects:
//
//   - No code in the process can change the option of a live conn, neither through
//     SyscallConn, File or the embedded conn, nor with x/net's packages, nor in C. The
//     guard of SyscallConn is off, which saves system calls.
//   - x/net's SetTOS and SetTrafficClass on a Conn or a UDPConn return an error that
//     matches [ErrMidFlow], even for the pinned mark. In a function that runs through
//     SyscallConn, setsockopt fails with EPERM.
//   - [Control] and the hooks of [Dialer.Marked] and [ListenConfig.Marked] return an
//     error that matches ErrMidFlow for a TCP socket that is connected.
//
// Seal does not stop control messages of single datagrams, which [UDPConn] checks in
// its own methods; other processes that have the same descriptor; and packet filters
// and programs in the kernel, which need privileges.
//
// The filter also refuses calls that do not set a mark. IPV6_FLOWINFO_SEND, with which
// the address of a datagram can have a Traffic Class, fails with EPERM. io_uring, x32,
// and the calls of other ABIs fail with ENOSYS, so 32-bit programs on 64-bit systems
// cannot mark at all. Each system call takes some nanoseconds longer.
//
// Several goroutines may call Seal at once. After the first success it returns nil
// and does nothing. The error is an [UnsupportedError] on systems other than Linux, on
// architectures other than amd64 and arm64, and on kernels without such filters.
// Otherwise it wraps the error of Linux, such as EPERM where the profile of a container
// forbids filters, or EBUSY where another thread has a filter already. After an error
// nothing has changed, with one exception: if a kernel accepts the filter and a trial
// then fails, the filter stays.
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

// isSealed reports whether Seal has succeeded.
func isSealed() bool { return sealed.done.Load() }

// errSealed is the error of x/net's methods that set a mark on a pinned conn.
var errSealed = fmt.Errorf("%w: the process is sealed", ErrMidFlow)

// errSealedConnected is the error of a hook on a connected socket.
var errSealedConnected = fmt.Errorf("%w: the process is sealed and the socket is connected", ErrMidFlow)
