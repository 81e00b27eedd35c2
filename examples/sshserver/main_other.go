//go:build !unix

package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "sshserver: needs a Unix system, not", runtime.GOOS)
	os.Exit(1)
}
