//go:build !unix

package dscp

import "syscall"

// v6only is never asked here: none of these platforms can mark.
func v6only(syscall.RawConn) (bool, error) { return false, nil }

// setInt is never called here: none of these platforms reports marks.
func setInt(syscall.RawConn, int, int, int) error { return syscall.EINVAL }

func noSuchOption(error) bool { return false }
