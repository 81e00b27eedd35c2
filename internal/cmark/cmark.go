// Package cmark sets socket options from C, as a program with cgo may do behind
// Go's back, for tests of what stops it.
package cmark

// Available reports whether there is C to call: on Linux, in a build with cgo.
func Available() bool { return available }
