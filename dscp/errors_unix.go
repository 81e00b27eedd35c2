//go:build unix

package dscp

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// filtered reports whether err is one with which routers, routes and packet
// filters refuse a connection that the far end may not even have seen.
func filtered(err error) bool {
	call, ok := errors.AsType[*os.SyscallError](err)
	if !ok || call.Syscall != "connect" {
		return false // an error of the caller's hook or of another call: no packet was sent
	}
	errno, ok := call.Err.(syscall.Errno)
	return ok && slices.Contains([]syscall.Errno{
		syscall.ECONNREFUSED, // the port is closed, or a filter answers for the server
		syscall.ECONNRESET,
		syscall.EHOSTUNREACH,
		syscall.EHOSTDOWN,
		syscall.ENETUNREACH,
		syscall.ENOPROTOOPT, // ICMP "protocol unreachable"
		syscall.EPERM,       // an output filter of this host
		syscall.EACCES,      // "prohibit" routes, which a rule on the TOS octet can lead to
	}, errno)
}

// resetByPeer reports whether the mark of an accepted socket could not be read because
// its peer has reset it: macOS, OpenBSD and NetBSD then refuse every option.
func resetByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EINVAL)
}

// refused reports whether err is a refused connection.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
