package kernel

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// onSocket returns a Control that does not need the network and the address.
func onSocket(f func(c syscall.RawConn) error) Control {
	return func(_, _ string, c syscall.RawConn) error { return f(c) }
}

// setOption sets an option whose value is an int. The error has name.
func setOption(c syscall.RawConn, level, option, value int, name string) error {
	return optionFailure(name, tos.SetInt(c, level, option, value))
}

// optionFailure returns the error of setting an option, nil for nil.
func optionFailure(name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err // optionError adds the call
	}
	return &optionError{name, err}
}

// getsockopt reads an option of any size into buf and returns how many bytes
// the kernel wrote. Package unix has no such function.
func getsockopt(fd uintptr, level, option int, buf unsafe.Pointer, size uint32) (uint32, error) {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(option),
		uintptr(buf), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return size, nil
}

// An optionError names the socket option that failed.
type optionError struct {
	option string
	err    error
}

func (e *optionError) Error() string { return "setsockopt " + e.option + ": " + e.err.Error() }
func (e *optionError) Unwrap() error { return e.err }
