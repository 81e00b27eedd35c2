package reuseport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hasFilter reports whether a socket has a filter. The kernel counts the length of
// this option in instructions of eight bytes, so x/sys, which gives it the length of
// a buffer, must not ask for it. With the length 0 it tells the number and copies
// nothing; of an eBPF program it says EACCES.
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
