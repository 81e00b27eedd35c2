//go:build amd64 || arm64

package pinexec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The supervisor's arguments, which ps shows, are supervisorName, the process number
// of its pinexec, the mark, and these two words or empty strings.
const (
	wordStrict  = "strict"
	wordVerbose = "verbose"
)

// connFD is the supervisor's end of the connection to the pinexec that started it.
// Its standard error is the log of -v.
const connFD = 3

// startSupervisor starts the supervisor. The supervisor is a grandchild, so that
// the program has no child that it has not started, and in a new session, so that
// it gets no signals from the terminal.
func startSupervisor(o Options) (supervisorProcess, error) {
	fail := func(doing string, err error) (supervisorProcess, error) {
		return supervisorProcess{}, fmt.Errorf("supervisor: %w", os.NewSyscallError(doing, err))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("socketpair", err)
	}
	s := supervisorProcess{pair[0]}
	defer unix.Close(pair[1])
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		s.close()
		return supervisorProcess{}, err
	}
	defer null.Close()
	log := null
	args := []string{supervisorName, "of " + strconv.Itoa(os.Getpid()), strconv.Itoa(int(o.Mark)), "", ""}
	if o.Strict {
		args[3] = wordStrict
	}
	if o.Verbose {
		args[4] = wordVerbose
		log = os.Stderr
		if o.Log != "" {
			log, err = os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
			if err != nil {
				s.close()
				return supervisorProcess{}, err
			}
			defer log.Close()
		}
	}
	if err := orphan(args, [connFD + 1]int{int(null.Fd()), int(null.Fd()), int(log.Fd()), pair[1]}); err != nil {
		s.close()
		return fail("fork", err)
	}
	return s, nil
}

// orphan executes this program again, with these arguments and only these
// descriptors, in a grandchild process that init adopts. If the exec fails, the
// grandchild exits, and orphan does not report it.
//
// An intermediate Go program that starts the grandchild would take twice as long.
func orphan(args []string, fds [connFD + 1]int) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings([]string{"GOMAXPROCS=1"})
	if err != nil {
		return err
	}
	exe, root := []byte("/proc/self/exe\x00"), []byte("/\x00")
	// Move them above the descriptor numbers that dup3 will give them.
	for i, fd := range fds {
		if fds[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, connFD+1); err != nil {
			return err
		}
		defer unix.Close(fds[i])
	}
	// Block all signals: Go's handlers must not run in the children.
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return err
	}
	pid, errno := forkTwice(&exe[0], &argv[0], &env[0], &root[0], &fds)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case errors.Is(err, unix.ECHILD): // the caller ignores SIGCHLD
			return nil
		case err != nil:
			return err
		case status.ExitStatus() != 0:
			return syscall.Errno(status.ExitStatus())
		default:
			return nil
		}
	}
}

// forkTwice forks twice, and returns only in the parent. The children have one
// thread and no Go runtime, so they only make raw system calls, as the children of
// package syscall do.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkTwice(exe *byte, argv, env **byte, root *byte, fds *[connFD + 1]int) (pid int, errno syscall.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || r != 0 {
		return int(r), errno
	}
	r, _, errno = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || r != 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
		}
	}
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	unix.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(root)), 0, 0)
	for i := 0; i < len(fds); i++ {
		if _, _, errno := unix.RawSyscall(unix.SYS_DUP3, uintptr(fds[i]), uintptr(i), 0); errno != 0 {
			goto failed
		}
	}
	// The supervisor must not hold descriptors that the program closes.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOSE_RANGE, connFD+1, uintptr(^uint32(0)), 0); errno != 0 {
		goto failed
	}
	unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(exe)), uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(env)))
failed:
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}
