package faults

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// supervise puts the calling thread, which only it and its children use, under
// the filter, and answers for them while run does.
func supervise(run func()) error {
	notify, err := filter()
	if err != nil {
		return err
	}
	stop, stopped, err := os.Pipe()
	if err != nil {
		unix.Close(notify)
		return err
	}
	defer stop.Close()
	served := make(chan error, 1)
	go func() {
		err := (&supervisor{notify: notify}).serve(int(stop.Fd()))
		unix.Close(notify) // or the child would wait for ever
		served <- err
	}()
	run()
	if err := stopped.Close(); err != nil {
		return err
	}
	return <-served
}

// filter has the kernel ask about the calls in names, from the calling thread
// and from what descends from it, and returns the descriptor on which it asks.
// It does not look at the architecture of a call: the child is this very program.
func filter() (notify int, err error) {
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: 0, Size: 4}}
	for nr := range names {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(nr), SkipTrue: 1},
			bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF})
	}
	raw, err := bpf.Assemble(append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
	if err != nil {
		return -1, err
	}
	var code []unix.SockFilter
	for _, i := range raw {
		code = append(code, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	// Who may gain no rights needs none to be filtered.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	install := func(flags uintptr) (int, syscall.Errno) {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		return int(fd), errno
	}
	// Without the second flag, of Linux 5.19, the signals of Go's scheduler
	// interrupt calls that wait for an answer, and they are made once more.
	fd, errno := install(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errno == unix.EINVAL {
		fd, errno = install(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	if errno == unix.EBUSY {
		errno = unix.EPERM // a container has a filter of that kind, and there cannot be two
	}
	if errno != 0 {
		return -1, fmt.Errorf("no system calls can be made to fail here: %w", os.NewSyscallError("seccomp", errno))
	}
	return fd, nil
}

// What the kernel asks, and what it wants to be told: struct seccomp_notif and
// seccomp_notif_resp of linux/seccomp.h.
type (
	question struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	answer struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// A supervisor answers for the child.
type supervisor struct {
	notify int

	counting bool
	mask     Mask
	errno    syscall.Errno
	calls    []Call

	holding bool
	at      int       // from which number on the next call is held
	held    *question // that call, when it has come
	waiting *uint64   // who waits for it

	refused          syscall.Errno // of all sockets of the kind; 0: none
	domain, protocol int
}

// serve answers until stop can be read or is closed.
func (s *supervisor) serve(stop int) error {
	for {
		fds := []unix.PollFd{{Fd: int32(s.notify), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return nil
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			continue
		}
		var q question
		err := s.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q))
		if err == unix.ENOENT || err == unix.EINTR {
			continue // who asked is gone, or asks once more
		}
		if err != 0 {
			return os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", err)
		}
		if err := s.meet(q); err != nil {
			return err
		}
	}
}

// meet answers q, now or later, and whoever has waited for it.
func (s *supervisor) meet(q question) error {
	if q.nr == unix.SYS_SETSOCKOPT && uintptr(q.args[0]) == nowhere {
		return s.command(q.id, command(q.args[1]), q.args[2:5])
	}
	if s.counting && s.holding && len(s.calls) >= s.at && q.nr != unix.SYS_SOCKET {
		s.holding, s.held = false, &q
		return s.tell(1)
	}
	return s.release(q)
}

// release answers a call.
func (s *supervisor) release(q question) error {
	a, counts := s.decide(q)
	known, err := s.send(a)
	if counts && known {
		s.calls = append(s.calls, call(q))
	}
	return err
}

// tell answers who waits for the call that is held.
func (s *supervisor) tell(reached int64) error {
	if s.waiting == nil {
		return nil
	}
	a := answer{id: *s.waiting, val: reached}
	s.waiting = nil
	_, err := s.send(a)
	return err
}

// send reports whether the one who asked was still there.
func (s *supervisor) send(a answer) (known bool, err error) {
	errno := s.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
	if errno != 0 && errno != unix.ENOENT {
		return false, os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_SEND)", errno)
	}
	return errno == 0, nil
}

func (s *supervisor) ioctl(request uintptr, arg unsafe.Pointer) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.notify), request, uintptr(arg))
	return errno
}

// decide returns the answer to q, and whether it is one of the calls to count.
func (s *supervisor) decide(q question) (a answer, counts bool) {
	a.id = q.id
	if c := call(q); s.refused != 0 && c.Number == unix.SYS_SOCKET &&
		(s.domain == 0 || s.domain == c.X) && (s.protocol == 0 || s.protocol == c.Y) {
		a.error = -int32(s.refused)
		return a, s.counting
	}
	if s.counting && s.mask.has(len(s.calls)) {
		a.error = -int32(s.errno)
	} else {
		a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	return a, s.counting
}

// command does what the child asks. To be asked twice does no harm.
func (s *supervisor) command(id uint64, c command, args []uint64) error {
	a := answer{id: id}
	switch c {
	case begin:
		s.counting, s.holding, s.calls = true, false, nil
		s.mask, s.errno = Mask(args[0]<<32|args[1]), syscall.Errno(args[2])
	case end:
		s.counting = false
		a.val = int64(len(s.calls))
		if err := s.tell(0); err != nil {
			return err
		}
	case hold:
		s.holding, s.at, s.held = true, int(args[0]), nil
	case await:
		s.waiting = &id
		switch {
		case s.held != nil:
			return s.tell(1)
		case !s.counting:
			return s.tell(0)
		}
		return nil
	case resume:
		if err := s.release(*s.held); err != nil {
			return err
		}
	case number:
		a.val = int64(s.calls[args[0]].Number)
	case x:
		a.val = int64(s.calls[args[0]].X)
	case y:
		a.val = int64(s.calls[args[0]].Y)
	case refuse:
		s.domain, s.protocol, s.refused = int(args[0]), int(args[1]), syscall.Errno(args[2])
	}
	_, err := s.send(a)
	return err
}

func call(q question) Call {
	c := Call{Number: uintptr(q.nr)}
	switch c.Number {
	case unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT:
		c.X, c.Y = int(uint32(q.args[1])), int(uint32(q.args[2]))
	case unix.SYS_SOCKET:
		c.X, c.Y = int(uint32(q.args[0])), int(uint32(q.args[2]))
	}
	return c
}
