// Package reuseport makes one listener of several sockets (SO_REUSEPORT). Linux chooses
// one of them by the TOS octet or the Traffic Class octet of each SYN. The package
// knows nothing of code points, nor of what a mark should be.
package reuseport

// An Error is the error of a socket option.
type Error struct {
	Option string // its name in C
	Err    error
}

func (e *Error) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }
