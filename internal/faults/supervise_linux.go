package faults

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/seccomp"
)

// supervise installs the filter on the calling thread, which no other goroutine uses,
// and calls run there. It answers the calls of run's child while run runs.
func supervise(run func()) error {
	listener, err := listen()
	if err != nil {
		return err
	}
	stop, stopped, err := os.Pipe()
	if err != nil {
		listener.Close()
		return err
	}
	defer stop.Close()
	served := make(chan error, 1)
	go func() {
		err := (&supervisor{listener: listener}).serve(int(stop.Fd()))
		listener.Close() // otherwise the child would wait for ever
		served <- err
	}()
	run()
	if err := stopped.Close(); err != nil {
		return err
	}
	return <-served
}

// listen makes the kernel ask about the calls in names, when the calling thread or a
// process that it starts makes them. The filter does not check the ABI of a call,
// because the child is the same program.
func listen() (*seccomp.Listener, error) {
	var p seccomp.Program
	for nr := range names {
		p.When(func() { p.Return(seccomp.Notify) }, seccomp.Number.Is(uint32(nr)))
	}
	p.Return(seccomp.Allow)
	// Before Linux 5.19 the signals of Go's scheduler interrupt calls that wait for
	// an answer, and the program makes them again.
	l, err := p.InstallListener(true)
	if errors.Is(err, unix.EINVAL) {
		l, err = p.InstallListener(false)
	}
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w: %w", unix.EPERM, err) // treated like a container that forbids filters
	}
	if err != nil {
		return nil, fmt.Errorf("system calls cannot be made to fail: %w", err)
	}
	return l, nil
}

// A supervisor answers the calls of the child.
type supervisor struct {
	listener *seccomp.Listener

	counting bool
	mask     Mask
	errno    syscall.Errno
	calls    []Call

	holding bool
	at      int           // the call with this number, or the next that can be, is held
	held    *seccomp.Call // that call, when it has come
	waiting *uint64       // the ID of the await command that waits for it

	refused          syscall.Errno // what socket(2) fails with for domain and protocol; 0: it does not
	domain, protocol int
}

// serve answers until stop can be read or is closed.
func (s *supervisor) serve(stop int) error { return s.listener.Serve(stop, s.meet) }

// meet answers q, now or later. If q is to be held, it answers the await command.
func (s *supervisor) meet(q seccomp.Call) error {
	if q.Number == unix.SYS_SETSOCKOPT && uintptr(q.Args[0]) == nowhere {
		return s.command(q.ID, command(q.Args[1]), q.Args[2:5])
	}
	if s.counting && s.holding && len(s.calls) >= s.at && q.Number != unix.SYS_SOCKET {
		s.holding, s.held = false, &q
		return s.tell(1)
	}
	return s.release(q)
}

// release answers a call.
func (s *supervisor) release(q seccomp.Call) error {
	errno, fails := s.decide(q)
	counts := s.counting
	var known bool
	var err error
	if fails {
		known, err = s.listener.Fail(q.ID, errno)
	} else {
		known, err = s.listener.Continue(q.ID)
	}
	if counts && known {
		s.calls = append(s.calls, call(q))
	}
	return err
}

// tell answers the await command, if there is one.
func (s *supervisor) tell(reached int64) error {
	if s.waiting == nil {
		return nil
	}
	id := *s.waiting
	s.waiting = nil
	_, err := s.listener.Return(id, reached)
	return err
}

// decide returns whether q fails, and with what.
func (s *supervisor) decide(q seccomp.Call) (errno syscall.Errno, fails bool) {
	c := call(q)
	switch {
	case s.refused != 0 && c.Number == unix.SYS_SOCKET &&
		(s.domain == 0 || s.domain == c.X) && (s.protocol == 0 || s.protocol == c.Y):
		return s.refused, true
	case s.counting && s.mask.has(len(s.calls)):
		return s.errno, true
	}
	return 0, false
}

// command carries out a command of the child. It may be repeated.
func (s *supervisor) command(id uint64, c command, args []uint64) error {
	var answer int64
	switch c {
	case begin:
		s.counting, s.holding, s.calls = true, false, nil
		s.mask, s.errno = Mask(args[0]<<32|args[1]), syscall.Errno(args[2])
	case end:
		s.counting = false
		answer = int64(len(s.calls))
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
		answer = int64(s.calls[args[0]].Number)
	case x:
		answer = int64(s.calls[args[0]].X)
	case y:
		answer = int64(s.calls[args[0]].Y)
	case refuse:
		s.domain, s.protocol, s.refused = int(args[0]), int(args[1]), syscall.Errno(args[2])
	}
	_, err := s.listener.Return(id, answer)
	return err
}

func call(q seccomp.Call) Call {
	c := Call{Number: uintptr(q.Number)}
	switch c.Number {
	case unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT:
		c.X, c.Y = int(uint32(q.Args[1])), int(uint32(q.Args[2]))
	case unix.SYS_SOCKET:
		c.X, c.Y = int(uint32(q.Args[0])), int(uint32(q.Args[2]))
	}
	return c
}
