package dscptest

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

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

// control runs f on the descriptor of c and returns the first error of the two.
func control(c syscall.RawConn, f func(fd uintptr) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(fd) }); err != nil {
		return err
	}
	return inner
}

// controlConn is control for a connection.
func controlConn(c *net.TCPConn, f func(fd uintptr) error) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return control(rc, f)
}

// setInt sets an option whose value is an int. name is for the error.
func setInt(fd uintptr, level, option, value int, name string) error {
	if err := unix.SetsockoptInt(int(fd), level, option, value); err != nil {
		return &optionError{name, err}
	}
	return nil
}

// attach gives a socket a program through an option, which name names.
func attach(fd uintptr, option int, program []bpf.Instruction, name string) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, option, &prog); err != nil {
		return &optionError{name, err}
	}
	return nil
}

// An optionError names the socket option that failed.
type optionError struct {
	option string
	err    error
}

func (e *optionError) Error() string { return "setsockopt " + e.option + ": " + e.err.Error() }
func (e *optionError) Unwrap() error { return e.err }
