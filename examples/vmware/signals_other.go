//go:build !unix

package main

import "os"

var interrupts = []os.Signal{os.Interrupt}

// surviveBrokenPipe has nothing to do where there is no SIGPIPE.
func surviveBrokenPipe() {}
