package dscptest

import (
	"runtime"

	"github.com/godscp/godscp/dscp"
)

// unsupported is the error for what this system lacks.
func unsupported(network, option string, err error) error {
	return &dscp.UnsupportedError{OS: runtime.GOOS, Network: network, Option: option, Err: err}
}
