package dscptest

import (
	"github.com/godscp/godscp/dscp"
)

// A Model is how a network treats marks: it is asked about what a flow shows
// and says what happens to it. [VMware], [FlowKey] and [Bleach] are models;
// [DropMarked] and [Remark] make one. Write your own as a plain function:
//
//	// PoliceEF loses voice marks once a flow has carried 64 KiB.
//	func PoliceEF(s dscptest.Segment) dscptest.Verdict {
//		if s.DSCP == dscp.EF && s.Offset > 64<<10 {
//			return dscptest.Drop
//		}
//		return dscptest.Pass
//	}
//
// A Model must be a pure function of its argument: the box also calls it with
// segments that nobody sent, to learn which SYNs it would drop, and from
// several goroutines at once. It needs no socket and no clock, so that it can
// be tested and fuzzed by itself, inside [testing/synctest] as well. A nil
// Model passes everything.
type Model func(Segment) Verdict

// A Segment is what a [Model] judges: the mark of a TCP segment or UDP
// datagram, and what the same side of the flow has shown before.
//
// A box asks its models about the SYN and the SYN-ACK, about every mark that
// differs from the one before, and about whatever payload it has read, which may
// be one segment or many. On UDP it asks about every datagram.
type Segment struct {
	Network   string         // "tcp4", "tcp6", "udp4" or "udp6"
	Direction Direction      // who sent it
	Handshake bool           // a SYN or SYN-ACK; false on UDP
	DSCP      dscp.CodePoint // its mark, as the models before this one leave it
	First     dscp.CodePoint // the mark of the first segment in this direction; of that one, its own
	Prev      dscp.CodePoint // the mark of the segment before; of the first, its own
	Offset    int64          // bytes of payload in this direction before it; of a mark that differs, the least there can be, see [Change]
}

// Changed reports whether the segment's mark differs from the first that its
// direction showed.
func (s Segment) Changed() bool {
	return s.DSCP != s.First
}

// A Verdict is what a [Model] wants done with a segment, and in a [Flow] what
// the box did. The zero value is [Pass]; [MarkAs] makes the verdicts that are
// not constants. Verdicts can be compared with ==.
type Verdict uint16

// The verdicts that carry no code point.
const (
	// Pass forwards the segment as it is.
	Pass Verdict = iota

	// Report forwards the segment as it is and remembers that it should not
	// have been sent: when the test ends, [NewMiddlebox] calls Errorf for
	// each flow that was reported. [OneMark] is built on it.
	Report

	// Drop loses the segment without a word. A connection attempt whose SYN
	// is dropped never reaches the box's listener and leaves no Flow. On TCP
	// the lab cannot lose one segment and take the next: once the handshake
	// is over, Drop silences the rest of that direction, as Blackhole does.
	Drop

	// Blackhole loses this segment and all that its sender sends from here
	// on, acknowledgements included. The other direction lives until the
	// missing acknowledgements stop it.
	Blackhole

	// Reset ends a TCP flow: the client gets a RST, the upstream a FIN. On
	// UDP, which has no such thing, it is Blackhole.
	Reset
)

// marked is set in the verdicts that MarkAs makes.
const marked Verdict = 1 << 8

// MarkAs returns the verdict that forwards the segment with the code point cp
// in place of its own. The ECN bits stay as they are. Of a cp above 63 only
// the lower six bits count.
func MarkAs(cp dscp.CodePoint) Verdict {
	return marked | Verdict(cp&63)
}

// Mark returns the code point of a verdict made by [MarkAs].
func (v Verdict) Mark() (cp dscp.CodePoint, ok bool) {
	return dscp.CodePoint(v & 63), v&marked != 0
}

// String returns the verdict as something that was done: "passed",
// "reported", "dropped", "blackholed", "reset", or "marked AF21".
func (v Verdict) String() string {
	if cp, ok := v.Mark(); ok {
		return "marked " + cp.String()
	}
	switch v {
	case Report:
		return "reported"
	case Drop:
		return "dropped"
	case Blackhole:
		return "blackholed"
	case Reset:
		return "reset"
	}
	return "passed"
}

// ends reports whether the flow, or one direction of it, is over with v.
func (v Verdict) ends() bool {
	return v == Drop || v == Blackhole || v == Reset
}

// harder reports whether v does more harm than w.
func (v Verdict) harder(w Verdict) bool {
	return v.severity() > w.severity()
}

// severity orders verdicts by the harm they do: rewriting a mark is less than
// reporting it, since a report fails a test.
func (v Verdict) severity() int {
	if _, ok := v.Mark(); ok {
		return 1
	}
	if v == Pass {
		return 0
	}
	return 1 + int(v)
}

// A Side is one end of a flow. In [Config] the zero value means both.
type Side uint8

// The two ends of a flow.
const (
	Client Side = 1 + iota // the end that connected, or sent the first datagram
	Server                 // the upstream
)

// String returns "client", "server" or "both".
func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "both"
}

// includes reports whether what travels in direction d comes from s.
func (s Side) includes(d Direction) bool {
	return s == 0 || s == d.From()
}

// A Direction is the way a segment travels.
type Direction uint8

// The two directions of a flow.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// From returns the side that sends in direction d.
func (d Direction) From() Side {
	if d == ServerToClient {
		return Server
	}
	return Client
}

// String returns "client→server" or "server→client".
func (d Direction) String() string {
	if d == ServerToClient {
		return "server→client"
	}
	return "client→server"
}
