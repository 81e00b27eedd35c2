//go:build !unix

package dscp

import "syscall"

// v6only is never asked here: none of these platforms can mark.
func v6only(syscall.RawConn) (bool, error) { return false, nil }

func noSuchOption(error) bool { return false }
