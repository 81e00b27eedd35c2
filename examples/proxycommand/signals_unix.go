//go:build unix

package main

import (
	"os"
	"syscall"
)

// endings are the signals that end the program. ssh sends SIGHUP to its
// ProxyCommand.
var endings = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
