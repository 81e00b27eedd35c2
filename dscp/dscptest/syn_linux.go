package dscptest

import (
	"net"

	"github.com/godscp/godscp/dscp"
)

// peerSYN returns the mark of the SYN that c's listener saved.
func peerSYN(c *net.TCPConn) (dscp.CodePoint, error) {
	if cp, ok := savedSYN(c); ok {
		return cp, nil
	}
	return 0, errNoSavedSYN
}

// peerMark returns the mark that the socket at the other end of c is set to, if
// it is one of this network namespace.
func peerMark(c *net.TCPConn) (dscp.CodePoint, bool) {
	diag, err := openSockDiag()
	if err != nil {
		return 0, false
	}
	defer diag.close()
	theirs := addrPort(c.RemoteAddr())
	r := ask(theirs, addrPort(c.LocalAddr()))
	a, err := diag.do(&r)
	if err != nil || !a.alive() {
		return 0, false
	}
	if theirs.Addr().Is4() {
		return dscp.FromTOS(a.tos), a.hasTOS
	}
	return dscp.FromTOS(a.class), a.hasClass
}
