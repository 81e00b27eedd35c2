//go:build !linux || !(amd64 || arm64)

package pinexec

import (
	"fmt"
	"runtime"
)

func execute(Options) (status int, err error) { return Failed, try() }

func try() error {
	return fmt.Errorf("pinexec needs Linux 5.19 or newer on amd64 or arm64, not %s on %s; %s", runtime.GOOS, runtime.GOARCH, instead)
}

func supervise([]string) (status int) { return Failed }
