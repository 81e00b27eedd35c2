//go:build unix

package main

import "golang.org/x/sys/unix"

// What the system's errors say of a connection.
var (
	refusals     = []error{unix.ECONNREFUSED}
	unreachables = []error{unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES, unix.EPERM}
	resets       = []error{unix.ECONNRESET, unix.EPIPE}
)
