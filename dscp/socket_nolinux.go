//go:build !linux

package dscp

import "syscall"

func refuseMPTCP(string, CodePoint, syscall.RawConn) error { return nil }

// hasNone takes the system at its word. Its IPv6 sockets may lack IP_TOS.
func hasNone(syscall.RawConn, option) bool { return true }

func saveSYN(syscall.RawConn) {}

func savedSYN(syscall.RawConn) (octet uint8, ok bool) { return 0, false }
