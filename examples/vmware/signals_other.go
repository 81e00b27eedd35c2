//go:build !unix

package main

import "os"

var interrupts = []os.Signal{os.Interrupt}

// terminate ends a program: nothing else can be sent.
var terminate = os.Kill

// surviveBrokenPipe has nothing to do where there is no SIGPIPE.
func surviveBrokenPipe() {}
