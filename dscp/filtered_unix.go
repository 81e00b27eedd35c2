//go:build unix

package dscp

import (
	"errors"
	"slices"
	"syscall"
)

// filtered reports whether err is one with which routers, routes and packet
// filters refuse a connection that the far end may not even have seen.
func filtered(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains([]syscall.Errno{
		syscall.EHOSTUNREACH,
		syscall.ENETUNREACH,
		syscall.EPERM,  // packet filters on the way out
		syscall.EACCES, // "prohibit" routes, which a rule on the TOS octet can lead to
	}, errno)
}

// refused reports whether err says that nobody listens, whatever the mark.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
