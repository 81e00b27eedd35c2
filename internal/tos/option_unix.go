//go:build unix

package tos

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Get reads the octet. It does not use x/net: reading a mark with other code than
// wrote it proves more, and it is faster.
func (o Option) Get(c syscall.RawConn) (uint8, error) {
	v, err := GetInt(c, o.Level(), o.name())
	return uint8(v), err
}

// GetFD is Get for a closure that has the descriptor.
func (o Option) GetFD(fd uintptr) (uint8, error) {
	v, err := unix.GetsockoptInt(int(fd), o.Level(), o.name())
	return uint8(v), os.NewSyscallError("getsockopt", err)
}

// name returns the system's number of the option.
func (o Option) name() int {
	if o == IPv4TOS {
		return unix.IP_TOS
	}
	return unix.IPV6_TCLASS
}

// IsIPv6 reports whether a socket is of the family AF_INET6, whatever the family
// of the packets that it sends. ok is false if the system does not say.
func IsIPv6(fd uintptr) (is, ok bool) {
	a, err := unix.Getsockname(int(fd))
	if err != nil {
		return false, false
	}
	_, is = a.(*unix.SockaddrInet6)
	return is, true
}

// Connected reports whether a socket has a peer.
func Connected(c syscall.RawConn) (is bool) {
	err := c.Control(func(fd uintptr) {
		_, err := unix.Getpeername(int(fd))
		is = err == nil
	})
	return err == nil && is
}

// V6Only reports whether an IPv6 socket has native IPv6 peers only (IPV6_V6ONLY).
func V6Only(c syscall.RawConn) (bool, error) {
	v, err := GetInt(c, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return v != 0, err
}

// A getter reads one socket option after another. It makes its closure once.
type getter struct {
	level, opt int
	v          int
	err        error
	read       func(fd uintptr)
}

var getters = sync.Pool{New: func() any {
	g := new(getter)
	g.read = func(fd uintptr) { g.v, g.err = unix.GetsockoptInt(int(fd), g.level, g.opt) }
	return g
}}

// GetInt reads an option whose value is an int.
func GetInt(c syscall.RawConn, level, opt int) (int, error) {
	g := getters.Get().(*getter)
	g.level, g.opt, g.v, g.err = level, opt, 0, nil
	err := c.Control(g.read)
	if err == nil {
		err = os.NewSyscallError("getsockopt", g.err)
	}
	v := g.v
	getters.Put(g)
	if err != nil {
		return 0, err
	}
	return v, nil
}

// SetInt writes an option whose value is an int.
func SetInt(c syscall.RawConn, level, opt, v int) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), level, opt, v)
	})
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt", err)
}

// noSuchOption reports whether err is the errno for a missing option that
// [errors.ErrUnsupported] does not match.
func noSuchOption(err error) bool { return errors.Is(err, unix.ENOPROTOOPT) }
