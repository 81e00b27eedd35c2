//go:build !unix

package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "sshserver: it needs a unix system for its terminals and processes, and this is", runtime.GOOS)
	os.Exit(1)
}
