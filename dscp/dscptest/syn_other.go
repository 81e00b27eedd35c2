//go:build !linux

package dscptest

import (
	"errors"
	"net"

	"github.com/godscp/godscp/dscp"
)

// peerSYN fails: no other system is known to save SYNs.
func peerSYN(*net.TCPConn) (dscp.CodePoint, error) {
	return 0, unsupported("tcp", "TCP_SAVED_SYN", errors.New("SYNs are not saved"))
}

// peerMark knows nothing.
func peerMark(*net.TCPConn) (dscp.CodePoint, bool) { return 0, false }
