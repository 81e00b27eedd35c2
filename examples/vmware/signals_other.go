//go:build !unix

package main

import "os"

var interrupts = []os.Signal{os.Interrupt}

// terminate ends a program: this system has no other signal for that.
var terminate = os.Kill

// surviveBrokenPipe does nothing: this system has no SIGPIPE.
func surviveBrokenPipe() {}
