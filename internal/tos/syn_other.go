//go:build !linux

package tos

import (
	"errors"
	"syscall"
)

// IsMPTCP reports false: package net makes Multipath TCP sockets on Linux only.
func IsMPTCP(syscall.RawConn) bool { return false }

// SaveSYN fails: only Linux saves SYNs.
func SaveSYN(syscall.RawConn) error { return errors.ErrUnsupported }

// SavedSYN reports false: only Linux saves SYNs.
func SavedSYN(syscall.RawConn) (octet uint8, ok bool) { return 0, false }

// Reflects reports false: only Linux reflects marks.
func Reflects() bool { return false }

// ReadReflects reports false: only Linux reflects marks.
func ReadReflects() (bool, error) { return false, nil }
