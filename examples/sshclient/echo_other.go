//go:build !unix

package main

// hideInput is not called: there is no /dev/tty here.
func hideInput(int) error { return errNoTerminal }
