//go:build !linux

package dscp

import "github.com/godscp/godscp/dialer"

// fastOpenOff is nil: only on Linux a socket option makes connect succeed before a SYN
// is sent.
var fastOpenOff dialer.Hook
