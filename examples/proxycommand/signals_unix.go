//go:build unix

package main

import (
	"os"
	"syscall"
)

// endings are the signals that end the program. ssh ends its ProxyCommand with a
// SIGHUP.
var endings = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
