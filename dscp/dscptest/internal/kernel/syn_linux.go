package kernel

import (
	"net"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/tos"
)

// SavedSYN returns the mark of the SYN that made an accepted connection. Its listener
// must save SYNs (TCP_SAVE_SYN). The kernel returns each once, and saves none that it
// has answered with a SYN cookie.
func SavedSYN(c *net.TCPConn) (dscp.CodePoint, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	octet, ok := tos.SavedSYN(raw)
	if !ok {
		return 0, ErrNoSavedSYN
	}
	return dscp.FromTOS(octet), nil
}

// PeerMark returns the mark that the socket at the other end of c is set to, if that
// socket is in this network namespace.
func PeerMark(c *net.TCPConn) (dscp.CodePoint, bool) {
	diag, err := openSockDiag()
	if err != nil {
		return 0, false
	}
	defer diag.close()
	theirs := AddrPort(c.RemoteAddr())
	r := newDiagRequest(theirs, AddrPort(c.LocalAddr()))
	a, err := diag.do(&r)
	if err != nil || !a.alive() {
		return 0, false
	}
	return a.mark(theirs.Addr())
}
