//go:build !linux

package kernel

import (
	"errors"
	"net"

	"github.com/godscp/godscp/dscp"
)

// SavedSYN fails: no other system that saves SYNs is known.
func SavedSYN(*net.TCPConn) (dscp.CodePoint, error) {
	return 0, Unsupported("tcp", "TCP_SAVED_SYN", errors.New("SYNs are not saved"))
}

// PeerMark returns false.
func PeerMark(*net.TCPConn) (dscp.CodePoint, bool) { return 0, false }
