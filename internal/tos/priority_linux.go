package tos

import (
	"os"

	"golang.org/x/sys/unix"
)

// Priority returns the SO_PRIORITY of a socket, which Linux sets when IP_TOS
// changes. It returns false if the socket has none.
func Priority(fd uintptr) (priority int, ok bool) {
	v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY)
	return v, err == nil
}

// SetPriority sets the SO_PRIORITY of a socket. Above 6 it needs CAP_NET_ADMIN.
func SetPriority(fd uintptr, priority int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, priority))
}
