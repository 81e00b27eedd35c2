//go:build !linux

package reuseport

import (
	"errors"
	"syscall"
)

// Supported says whether this system has what the package needs.
const Supported = false

// Lead fails.
func Lead(syscall.RawConn, []uint8) error { return errors.ErrUnsupported }

// Join fails.
func Join(syscall.RawConn) error { return errors.ErrUnsupported }

// A Held is what Hold has changed on a socket.
type Held struct{}

// Hold fails.
func Hold(syscall.RawConn) (Held, error) { return Held{}, errors.ErrUnsupported }

// Release fails.
func (Held) Release(syscall.RawConn) error { return errors.ErrUnsupported }

// Restore fails.
func (Held) Restore(syscall.RawConn) error { return errors.ErrUnsupported }
