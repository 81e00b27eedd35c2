// Package cmark sets socket options from C, without package net and x/net, as a program
// with cgo can. It is for tests of what prevents that.
package cmark

// Available reports whether Set works: on Linux, in a build with cgo.
func Available() bool { return available }
