//go:build !linux

package dscp

import (
	"errors"

	"github.com/godscp/godscp/internal/tos"
)

func sealProcess() error {
	return &UnsupportedError{OS: tos.Host.OS, Option: "seccomp", Err: errors.ErrUnsupported}
}
