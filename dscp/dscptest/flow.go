package dscptest

import (
	"net/netip"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A Flow is the record of one TCP connection, or of one client's datagrams,
// through a [Middlebox].
type Flow struct {
	ID       int            // 1 for the box's first flow, 2 for the next
	Network  string         // "tcp4", "tcp6", "udp4" or "udp6"
	Client   netip.AddrPort // the client's address
	Box      netip.AddrPort // the address of the box that the client reached
	Upstream netip.AddrPort // the server's address

	Start time.Time // when the box accepted the flow
	End   time.Time // when it was over; zero until then

	SYN    dscp.CodePoint // the mark of the client's SYN, or of its first datagram
	SYNACK dscp.CodePoint // the mark of the server's SYN-ACK, or of its first datagram; valid if Answered
	// Answered reports whether the server has shown a mark. It has not if
	// its socket could not be looked at, see [Sensor].
	Answered bool

	// Changes are the marks that differed from the one before, in the order
	// in which they were noticed, both directions together.
	Changes []Change

	// Events are what arrived after the handshake: the first 64 and the last
	// 16. The offsets tell what is missing.
	Events []Event

	Verdict   Verdict   // the hardest thing that the box did
	Model     string    // the name of the model that wanted it; empty if Pass
	Reason    string    // why, in words; empty if Pass
	VerdictAt time.Time // when; zero if Pass

	// Reported is why a model first said Report, in words, whatever other
	// models said; empty if none did.
	Reported string

	ClientBytes int64 // bytes of payload that the client sent and the box took
	ServerBytes int64 // bytes of payload that the server sent and the box took

	Over bool  // nothing more will happen to this flow
	Err  error // what went wrong in the box itself: the upstream could not be reached, a model panicked
}

// A Change is a mark that differs from the one before it in the same
// direction.
//
// The first byte of payload that was sent under the new mark lies between
// Offset and OffsetMax, counted from 0 in that direction. The two are equal
// where the sensor can tell exactly, as [WireEvery] always can; a box that reads
// the mark of the latest segment only knows what had arrived at two looks.
type Change struct {
	Direction Direction
	From, To  dscp.CodePoint
	Offset    int64
	OffsetMax int64
	At        time.Time // when the box noticed
	Verdict   Verdict   // what was done about this change
	Reason    string    // why; empty if Pass
}

// Exact reports whether the offset of the change is known to the byte.
func (c Change) Exact() bool {
	return c.Offset == c.OffsetMax
}

// Changed reports whether either direction of the flow has shown two marks.
func (f Flow) Changed() bool {
	return len(f.Changes) > 0
}
