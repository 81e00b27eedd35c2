//go:build !unix

package main

// onResize does nothing: this system has no SIGWINCH.
func onResize(func()) (stop func()) { return func() {} }
