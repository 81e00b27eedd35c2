package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// A lookout reads the marks that arrive on one connection, as far as the system allows.
type lookout struct {
	conn  *dscp.Conn
	watch *segmentWatch // nil if this process may not capture packets
	peer  netip.AddrPort
	after []dscp.CodePoint // marks of segments after the SYN, each once, in order
}

// newLookout returns a lookout that has read the marks once.
func newLookout(c *dscp.Conn, w *segmentWatch) *lookout {
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	l := &lookout{conn: c, watch: w, peer: netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())}
	l.look()
	return l
}

// look returns all marks so far.
func (l *lookout) look() sighting {
	var s sighting
	if cp, ok := l.conn.PeerDSCP(); ok {
		s.SYN = &cp
	}
	if l.peer.Addr().Is4() {
		if cp, ok := handshakeMark(l.conn); ok {
			l.note(cp)
			s.Sees = seesHandshake
		}
		if marks, ok := l.watch.marks(l.peer); ok {
			for _, cp := range marks {
				l.note(cp)
			}
			s.Sees = seesAll
		}
	} else if cp, ok := latestClass(l.conn); ok {
		l.note(cp)
		s.Latest, s.Sees = &cp, seesLatest
	}
	s.After = l.after
	return s
}

func (l *lookout) note(cp dscp.CodePoint) {
	if !slices.Contains(l.after, cp) {
		l.after = append(l.after, cp)
	}
}

func (l *lookout) close() { l.watch.forget(l.peer) }
