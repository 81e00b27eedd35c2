//go:build !linux || !(amd64 || arm64)

package main

import (
	"fmt"
	"runtime"
)

func execute(options) (status int, err error) {
	return statusFailed, fmt.Errorf("Linux 5.19 or newer on amd64 or arm64 is needed, and this is %s on %s; %s", runtime.GOOS, runtime.GOARCH, instead)
}

func isSupervisor([]string) bool { return false }

func supervise([]string) (status int) { return statusFailed }
