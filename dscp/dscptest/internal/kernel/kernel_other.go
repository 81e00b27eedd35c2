//go:build !linux

package kernel

import "errors"

// Open fails: on no other system is a way known to read the marks of TCP segments
// without privileges.
func Open(bool) (Kernel, error) {
	return nil, Unsupported("tcp", "TCP_SAVED_SYN", errors.New("the marks of arriving segments cannot be read"))
}
