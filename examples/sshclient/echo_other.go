//go:build !unix

package main

// hideInput fails: without a /dev/tty nothing asks for it.
func hideInput(int) error { return errNobody }
