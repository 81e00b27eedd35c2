package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install installs p on the calling thread, and so on the threads and processes that it
// starts from now on. The caller must have locked its goroutine to the thread. The
// thread and what it starts cannot gain privileges by executing a program from then on
// (no_new_privs), even if Install fails.
func (p *Program) Install() error {
	_, err := p.install(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	return err
}

// InstallAll installs p on all threads of the process, and sets no_new_privs for all of
// them. If it fails, for example because another thread has another filter, nothing has
// changed.
func (p *Program) InstallAll() error {
	failed := make(chan error)
	go onNewThread(func() bool {
		tid, err := p.install(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW | unix.SECCOMP_FILTER_FLAG_TSYNC)
		if err == nil && tid != 0 {
			err = fmt.Errorf("seccomp: thread %d of this process has another filter, so not all threads can get this one: %w",
				tid, os.NewSyscallError("seccomp", unix.EBUSY))
		}
		failed <- err
		return err == nil
	})
	return <-failed
}

// onNewThread runs f on a thread that ends with f, and with it what f did to the thread,
// unless f returns true.
func onNewThread(f func() (keep bool)) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The process's first thread cannot end: take another one.
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			onNewThread(f)
		}()
		<-ended
		runtime.UnlockOSThread()
		return
	}
	if f() {
		runtime.UnlockOSThread()
	}
}

// InstallListener installs p on the calling thread as Install does, and returns the
// Listener that receives the calls that end in [Notify].
//
// If killable is true, only fatal signals interrupt a call after the Listener has
// received it and before it is answered. This needs Linux 5.19; on an older kernel the
// error matches EINVAL.
func (p *Program) InstallListener(killable bool) (*Listener, error) {
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if killable {
		flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	fd, err := p.install(flags)
	if err != nil {
		return nil, err
	}
	return NewListener(fd), nil
}

// install returns the result of seccomp(2).
func (p *Program) install(flags uintptr) (int, error) {
	filter, err := p.assemble()
	if err != nil {
		return 0, err
	}
	// Without no_new_privs, installing a filter needs a privilege.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("seccomp: %w", os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err))
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %s: %w", reason(errno, flags), os.NewSyscallError("seccomp", errno))
	}
	return int(r), nil
}

// reason returns why seccomp(2) failed with errno.
func reason(errno syscall.Errno, flags uintptr) string {
	switch {
	case errno == unix.EINVAL && flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0:
		return "this kernel lacks SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)"
	case errno == unix.EINVAL || errno == unix.ENOSYS:
		return "this kernel has no such filters"
	case errno == unix.EPERM || errno == unix.EACCES:
		return "filters are not permitted, perhaps by a container's profile"
	case errno == unix.EBUSY:
		return "this process is supervised already, and Linux allows one supervisor only"
	}
	return "the filter was refused"
}
