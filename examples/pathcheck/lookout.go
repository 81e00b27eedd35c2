package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// A lookout sees the marks that arrive on one connection, as far as the system
// shows them.
type lookout struct {
	conn  *dscp.Conn
	watch *segmentWatch // nil where this process may not capture
	peer  netip.AddrPort
	after []dscp.CodePoint // each mark of later segments once, in their order
}

// newLookout takes its first look.
func newLookout(c *dscp.Conn, w *segmentWatch) *lookout {
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	l := &lookout{conn: c, watch: w, peer: netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())}
	l.look()
	return l
}

// look returns all that was seen up to now.
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
