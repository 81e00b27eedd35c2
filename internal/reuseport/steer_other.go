//go:build !linux

package reuseport

import (
	"errors"
	"syscall"
)

// Supported says that this system has what the package is for.
const Supported = false

// Lead fails.
func Lead(syscall.RawConn, []uint8) error { return errors.ErrUnsupported }

// Join fails.
func Join(syscall.RawConn) error { return errors.ErrUnsupported }

// Hold fails.
func Hold(syscall.RawConn) error { return errors.ErrUnsupported }

// Release fails.
func Release(syscall.RawConn) error { return errors.ErrUnsupported }
