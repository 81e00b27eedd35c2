//go:build unix

package main

import "golang.org/x/sys/unix"

// The system's errors by their meaning for a connection.
var (
	refusals     = []error{unix.ECONNREFUSED}
	unreachables = []error{unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES, unix.EPERM}
	resets       = []error{unix.ECONNRESET, unix.EPIPE}
)
