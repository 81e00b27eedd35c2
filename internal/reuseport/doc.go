// Package reuseport makes one listener of several sockets (SO_REUSEPORT), among which
// Linux chooses by the TOS octet or the Traffic Class octet of each SYN. It knows
// nothing of code points, nor of what a mark should be.
package reuseport

// An Error says that a socket option was refused.
type Error struct {
	Option string // its name in C
	Err    error
}

func (e *Error) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }
