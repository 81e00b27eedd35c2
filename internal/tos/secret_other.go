//go:build !linux

package tos

import (
	"errors"
	"syscall"
)

// setWithSecret is never called: only a process on Linux can be sealed.
func (o Option) setWithSecret(syscall.RawConn, uint8, uint64) error { return errors.ErrUnsupported }
