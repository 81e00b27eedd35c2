//go:build !linux

package tos

import "errors"

// Priority reports false: only Linux has SO_PRIORITY.
func Priority(uintptr) (priority int, ok bool) { return 0, false }

// SetPriority fails: only Linux has SO_PRIORITY.
func SetPriority(uintptr, int) error { return errors.ErrUnsupported }
