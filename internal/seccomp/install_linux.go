package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install puts the calling thread under p, and what it starts from now on. The
// caller has locked its goroutine to the thread. The thread, and what it starts,
// can then not gain privileges by executing a program (no_new_privs), also where
// Install fails.
func (p *Program) Install() error {
	_, err := p.install(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	return err
}

// InstallAll puts all threads of the process under p, and what they start from
// now on; no_new_privs holds for all of them too. If it fails, for example since
// another thread has a filter of its own, nothing has changed.
func (p *Program) InstallAll() error {
	failed := make(chan error)
	go onNewThread(func() bool {
		tid, err := p.install(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW | unix.SECCOMP_FILTER_FLAG_TSYNC)
		if err == nil && tid != 0 {
			err = fmt.Errorf("seccomp: thread %d of this process has a filter of its own, so that not all threads can get this one: %w",
				tid, os.NewSyscallError("seccomp", unix.EBUSY))
		}
		failed <- err
		return err == nil
	})
	return <-failed
}

// onNewThread runs f on a thread that ends with it, unless f returns true. What f
// does to its thread then ends too.
func onNewThread(f func() (keep bool)) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The process's first thread cannot end: have another one.
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

// InstallListener puts the calling thread under p as Install does, and returns
// the Listener that hears of the calls that end in [Notify].
//
// With killable, which needs Linux 5.19, signals do not interrupt a call between
// [Listener] receiving it and answering it, unless they kill. Where the kernel
// lacks that, the error matches EINVAL.
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

// install returns what seccomp(2) does.
func (p *Program) install(flags uintptr) (int, error) {
	filter, err := p.assemble()
	if err != nil {
		return 0, err
	}
	// Who may gain no privileges needs none to be filtered.
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

// reason says what it means that seccomp(2) fails with errno.
func reason(errno syscall.Errno, flags uintptr) string {
	switch {
	case errno == unix.EINVAL && flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0:
		return "this kernel lacks what Linux has since 5.19"
	case errno == unix.EINVAL || errno == unix.ENOSYS:
		return "this kernel has no such filters"
	case errno == unix.EPERM || errno == unix.EACCES:
		return "filters are not permitted here, as a container's profile may have it"
	case errno == unix.EBUSY:
		return "this process is supervised already, and Linux allows one supervisor"
	}
	return "the filter was refused"
}
