package tos

import "syscall"

// An FD is a RawConn for use inside a Control, Read or Write closure of the real
// RawConn, which keeps the descriptor open meanwhile.
type FD uintptr

// Control calls f with the descriptor.
func (fd FD) Control(f func(uintptr)) error {
	f(uintptr(fd))
	return nil
}

// Read fails.
func (fd FD) Read(func(uintptr) bool) error { return syscall.EINVAL }

// Write fails.
func (fd FD) Write(func(uintptr) bool) error { return syscall.EINVAL }
