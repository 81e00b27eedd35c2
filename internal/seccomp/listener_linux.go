package seccomp

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Listener receives the calls that end in [Notify], and answers them. Its
// answers may come from any goroutine, in any order.
type Listener struct{ fd int }

// NewListener returns the Listener for a descriptor that another process got from
// [Program.InstallListener]. The Listener owns the descriptor.
func NewListener(fd int) *Listener { return &Listener{fd} }

// FD returns the descriptor, to hand it to another process.
func (l *Listener) FD() int { return l.fd }

// Close closes the descriptor. Calls that wait for an answer, and later ones that end
// in [Notify], fail with ENOSYS, unless another process also has the descriptor.
func (l *Listener) Close() error { return os.NewSyscallError("close", unix.Close(l.fd)) }

// A Call is a system call that waits for an answer: struct seccomp_notif of
// linux/seccomp.h.
type Call struct {
	ID     uint64 // identifies the call in answers
	Thread uint32 // the calling thread's ID in the receiver's PID namespace; 0 if it has none there
	_      uint32
	Number int32
	Arch   uint32 // AUDIT_ARCH_…
	_      uint64
	Args   [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// addfd is struct seccomp_notif_addfd.
type addfd struct {
	id         uint64
	flags      uint32
	srcfd      uint32
	newfd      uint32
	newfdFlags uint32
}

// Serve calls meet with each call; meet answers it, or arranges that it is answered
// later. If meet fails, Serve returns its error. It returns nil when no process is left
// under the filter, or when the descriptor stop can be read. If stop is negative it
// never can.
//
// While Serve runs, no signal interrupts its thread, not even one of Go's scheduler.
func (l *Listener) Serve(stop int, meet func(Call) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return os.NewSyscallError("rt_sigprocmask", err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) //nolint:errcheck // it was the mask

	for {
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			if fds[0].Revents != 0 {
				return nil // POLLHUP
			}
			continue
		}
		var c Call
		switch err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c)); err {
		case 0:
			if err := meet(c); err != nil {
				return err
			}
		case unix.ENOENT, unix.EINTR: // the caller is gone, or was interrupted and calls again
		default:
			return os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", err)
		}
	}
}

// Return answers the call: it returns val to the caller. It reports whether the
// caller was still there.
func (l *Listener) Return(id uint64, val int64) (known bool, err error) {
	return l.send(response{id: id, val: val})
}

// Fail answers the call: it fails with errno.
func (l *Listener) Fail(id uint64, errno syscall.Errno) (known bool, err error) {
	return l.send(response{id: id, error: -int32(errno)})
}

// Continue answers the call: the kernel makes it. Another thread may have changed what
// its arguments point at before that.
func (l *Listener) Continue(id uint64) (known bool, err error) {
	return l.send(response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

func (l *Listener) send(r response) (known bool, err error) {
	errno := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	if errno != 0 && errno != unix.ENOENT {
		return false, os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_SEND)", errno)
	}
	return errno == 0, nil
}

// Give puts a copy of fd into the process that made the call, and answers the call with
// the number of the copy. If Give fails, the call should fail with the same error:
// EMFILE if that process can have no more descriptors. ENOENT means that the caller is
// gone.
func (l *Listener) Give(id uint64, fd int, cloexec bool) (there int, err error) {
	// Two steps, without SECCOMP_ADDFD_FLAG_SEND: with that flag, if a signal
	// interrupts this ioctl, the call returns 0 in the other process, which then
	// takes its standard input for the new descriptor.
	a := addfd{id: id, srcfd: uint32(fd)}
	if cloexec {
		a.newfdFlags = unix.O_CLOEXEC
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), unix.SECCOMP_IOCTL_NOTIF_ADDFD, uintptr(unsafe.Pointer(&a)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return -1, errno
		}
		if known, err := l.Return(id, int64(n)); err != nil {
			return -1, err
		} else if !known {
			return -1, unix.ENOENT
		}
		return int(n), nil
	}
}

// Waits reports whether the call still waits for its answer. If it does, what was read
// from /proc about its thread before was about the caller, and not about a later thread
// with the same ID.
func (l *Listener) Waits(id uint64) bool {
	return l.ioctl(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == 0
}

func (l *Listener) ioctl(request uintptr, arg unsafe.Pointer) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), request, uintptr(arg))
	return errno
}
