//go:build !linux

package kernel

import "errors"

// Open fails: no other system is known to tell the marks of TCP segments to a
// process without privileges.
func Open(bool) (Kernel, error) {
	return nil, Unsupported("tcp", "TCP_SAVED_SYN", errors.New("the marks of arriving segments cannot be read"))
}
