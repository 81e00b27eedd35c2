package tos

import (
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// secretLength is the length of the value that a filter requires besides the secret.
// The kernel takes more than the four bytes of an int.
const secretLength = 8

// A secretSetter sets an option with the secret. Package dscp recognises its method by
// name when it is passed to a guarded conn.
type secretSetter struct {
	option Option
	octet  uint8
	secret uint64
	errno  syscall.Errno
	run    func(fd uintptr)
}

var secretSetters = sync.Pool{New: func() any {
	s := new(secretSetter)
	s.run = s.set
	return s
}}

// set makes the system call.
func (s *secretSetter) set(fd uintptr) {
	value := [secretLength / 4]int32{int32(s.octet)}
	_, _, s.errno = unix.Syscall6(unix.SYS_SETSOCKOPT, fd, uintptr(s.option.Level()), uintptr(s.option.name()),
		uintptr(unsafe.Pointer(&value)), secretLength, uintptr(s.secret))
}

// setWithSecret is Set in a sealed process.
func (o Option) setWithSecret(c syscall.RawConn, octet uint8, secret uint64) error {
	s := secretSetters.Get().(*secretSetter)
	s.option, s.octet, s.secret, s.errno = o, octet, secret, 0
	err := c.Control(s.run)
	errno := s.errno
	secretSetters.Put(s)
	if err != nil {
		return err
	}
	if errno != 0 {
		return os.NewSyscallError("setsockopt", errno)
	}
	return nil
}
