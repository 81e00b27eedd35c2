//go:build !cgo || !linux

package cmark

import "errors"

const available = false

// Set fails.
func Set(uintptr, int, int, int, bool) error { return errors.ErrUnsupported }
