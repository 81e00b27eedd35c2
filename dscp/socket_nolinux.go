//go:build !linux

package dscp

import "syscall"

func refuseMPTCP(string, CodePoint, syscall.RawConn) error { return nil }

func saveSYN(syscall.RawConn) {}

func savedSYN(syscall.RawConn) (octet uint8, ok bool) { return 0, false }
