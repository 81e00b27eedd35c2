//go:build !unix && !windows

package main

// The error numbers of this system are not known here.
var refusals, unreachables, resets []error
