//go:build !linux

package dscptest

import "errors"

// openSenses fails: no other system is known to tell the marks of TCP segments
// to a process without privileges.
func openSenses(bool) (senses, error) {
	return nil, unsupported("tcp", "TCP_SAVED_SYN", errors.New("the marks of arriving segments cannot be read"))
}
