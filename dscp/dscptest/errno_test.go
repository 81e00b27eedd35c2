//go:build !plan9

package dscptest_test

import "syscall"

// What a peer's RST, a closed port and a port of somebody else's look like.
const (
	errReset   = syscall.ECONNRESET
	errRefused = syscall.ECONNREFUSED
	errInUse   = syscall.EADDRINUSE
)
