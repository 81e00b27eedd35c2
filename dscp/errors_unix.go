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
		return false // of the caller's own hook, or of another call: no packet was sent
	}
	errno, ok := call.Err.(syscall.Errno)
	return ok && slices.Contains([]syscall.Errno{
		syscall.ECONNREFUSED, // nobody listens, or a filter answers for the server
		syscall.ECONNRESET,
		syscall.EHOSTUNREACH,
		syscall.EHOSTDOWN,
		syscall.ENETUNREACH,
		syscall.ENOPROTOOPT, // ICMP "protocol unreachable"
		syscall.EPERM,       // packet filters on the way out
		syscall.EACCES,      // "prohibit" routes, which a rule on the TOS octet can lead to
	}, errno)
}

// resetByPeer reports whether an accepted socket could not be asked for its mark because
// its peer has reset it: macOS, OpenBSD and NetBSD then refuse every option.
func resetByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EINVAL)
}

// refused reports whether err says that the connection was refused.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
