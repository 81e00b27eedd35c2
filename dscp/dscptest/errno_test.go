//go:build !plan9

package dscptest_test

import "syscall"

// What a peer's RST and a closed port look like.
const (
	errReset   = syscall.ECONNRESET
	errRefused = syscall.ECONNREFUSED
)
