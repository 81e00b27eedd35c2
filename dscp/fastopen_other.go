//go:build !linux

package dscp

import "github.com/godscp/godscp/dialer"

// fastOpenOff is nil: elsewhere than on Linux no socket option makes connect
// succeed before a SYN is sent.
var fastOpenOff dialer.Hook
