//go:build !plan9

package dscptest_test

import "syscall"

// The errors for a peer's RST, a closed port, and a port that another socket has.
const (
	errReset   = syscall.ECONNRESET
	errRefused = syscall.ECONNREFUSED
	errInUse   = syscall.EADDRINUSE
)
