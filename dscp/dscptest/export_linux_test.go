package dscptest

import "github.com/godscp/godscp/dscp/dscptest/internal/kernel"

// HoldCapture keeps b's capture from emptying its rings until release is called.
func HoldCapture(b *Middlebox) (release func()) { return kernel.HoldCapture(b.kernel) }

// CapturedFlows returns how many flows b's capture follows.
func CapturedFlows(b *Middlebox) int { return kernel.CapturedFlows(b.kernel) }
