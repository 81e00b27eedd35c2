//go:build !unix && !windows

package main

// What the system's errors say of a connection is not known here.
var refusals, unreachables, resets []error
