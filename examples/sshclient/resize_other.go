//go:build !unix

package main

// onResize does nothing: nothing here tells of a new size.
func onResize(func()) (stop func()) { return func() {} }
