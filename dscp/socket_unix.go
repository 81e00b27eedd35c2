//go:build unix

package dscp

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// v6only reports whether an IPv6 socket takes native IPv6 peers only.
func v6only(c syscall.RawConn) (bool, error) {
	v, err := getInt(c, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return v != 0, err
}

func getInt(c syscall.RawConn, level, opt int) (v int, err error) {
	cerr := c.Control(func(fd uintptr) {
		v, err = unix.GetsockoptInt(int(fd), level, opt)
	})
	if cerr != nil {
		return 0, cerr
	}
	return v, os.NewSyscallError("getsockopt", err)
}

func setInt(c syscall.RawConn, level, opt, v int) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, opt, v)
	})
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt", err)
}

// noSuchOption reports whether err says that a socket has no such option, in
// the errno that [errors.ErrUnsupported] does not match.
func noSuchOption(err error) bool { return errors.Is(err, unix.ENOPROTOOPT) }
