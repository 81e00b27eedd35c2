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

// Words of the supervisor's arguments, which ps shows: after the first come whose
// supervisor it is, the mark, and two options.
const (
	wordStrict  = "strict"
	wordVerbose = "verbose"
)

// connFD is the supervisor's end of the connection to the pinexec that started
// it. What it writes to standard error goes where -v says.
const connFD = 3

// startSupervisor starts the supervisor. It is a grandchild, so that the program
// does not meet a child that it has not started, and in a session of its own, so
// that what is typed at the terminal does not reach it.
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

// orphan starts this program anew with the arguments and descriptors, no others,
// as a process that init adopts. If it cannot be executed it just ends.
//
// A Go program that starts another one which does so would take twice as long.
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
	// Out of the way of the numbers that they are to get.
	for i, fd := range fds {
		if fds[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, connFD+1); err != nil {
			return err
		}
		defer unix.Close(fds[i])
	}
	// In the children no handler of Go's may run.
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

// forkTwice forks, and returns in the parent alone. The children have one thread
// and no Go runtime, so that they make raw system calls and nothing else, as
// package syscall's do.
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
	// Or it would hold what the program closes.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOSE_RANGE, connFD+1, uintptr(^uint32(0)), 0); errno != 0 {
		goto failed
	}
	unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(exe)), uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(env)))
failed:
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}
