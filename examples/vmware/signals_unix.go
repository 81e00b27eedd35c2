//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM}

// terminate asks a program to end.
const terminate = syscall.SIGTERM

// surviveBrokenPipe makes a write to a closed standard output, as with "| head", return
// an error, so that the program can remove its files.
func surviveBrokenPipe() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
