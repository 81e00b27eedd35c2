package reuseport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hasFilter reports whether a socket has a filter. It does not use x/sys, which passes
// the length of a buffer in bytes: the kernel takes the length of this option in
// instructions of eight bytes. With the length 0 the kernel returns the number of
// instructions and copies none. For an eBPF program it returns EACCES.
func hasFilter(fd int) (bool, error) {
	var instructions uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		0, uintptr(unsafe.Pointer(&instructions)), 0)
	switch {
	case errno == unix.EACCES:
		return true, nil
	case errno != 0:
		return false, failed("SO_GET_FILTER", "getsockopt", errno)
	}
	return instructions != 0, nil
}
