package dscptest

import (
	"time"

	"github.com/godscp/godscp/dscp"
)

// A Model is how a network treats marks. The box calls it with what a flow shows,
// and it returns what happens to that. [VMware], [FlowKey] and [Bleach] are models;
// [DropMarked] and [Remark] return one. Write your own as a plain function:
//
//	// PoliceEF drops voice marks once a flow has carried 64 KiB.
//	// Config.SegmentSize decides how exact that is on TCP.
//	func PoliceEF(s dscptest.Segment) dscptest.Verdict {
//		if s.DSCP == dscp.EF && s.Offset > 64<<10 {
//			return dscptest.Drop
//		}
//		return dscptest.Pass
//	}
//
// A Model must be a pure function of its argument. The box calls it from several
// goroutines at once, and also with segments that were never sent, to learn which
// SYNs it would drop. A Model needs no socket and no clock, so it can be tested and
// fuzzed by itself, inside [testing/synctest] as well. A nil Model passes everything.
type Model func(Segment) Verdict

// A Segment is what a [Model] judges: the mark of a TCP segment or UDP
// datagram, and what the same side of the flow has shown before.
//
// A box calls its models with the SYN and the SYN-ACK, with every mark that
// differs from the one before, and with the payload of each read, which may be one
// segment or many, up to [Config].SegmentSize bytes. On UDP it calls them with every
// datagram.
type Segment struct {
	Network   string         // "tcp4", "tcp6", "udp4" or "udp6"
	Direction Direction      // who sent it
	Handshake bool           // a SYN or SYN-ACK; false on UDP
	DSCP      dscp.CodePoint // its mark, as the models before this one leave it
	First     dscp.CodePoint // the mark of the first segment in this direction; in the first segment, its own
	Prev      dscp.CodePoint // the mark of the segment before; in the first segment, its own
	Offset    int64          // bytes of payload in this direction before it; for a mark that differs, the lower bound, see [Change]
	Length    int64          // bytes of payload that the verdict is for; 0 for a handshake, and on TCP for a mark that differs
}

// Changed reports whether the segment's mark differs from the first that its
// direction showed.
func (s Segment) Changed() bool {
	return s.DSCP != s.First
}

// A Verdict is what a [Model] decides about a segment, and in a [Flow] what the box
// did. The zero value is [Pass]. [MarkAs] and [DelayBy] return the verdicts that are
// not constants. Verdicts can be compared with ==.
type Verdict uint64

// The verdicts that carry no code point.
const (
	// Pass forwards the segment as it is.
	Pass Verdict = iota

	// Report forwards the segment as it is and records that it should not
	// have been sent. When the test ends, a box of [NewMiddlebox] fails it for
	// each flow that was reported. [OneMark] returns it.
	Report

	// Drop silently discards the segment. A connection attempt whose SYN is
	// dropped never reaches the box's listener and leaves no Flow. On TCP a
	// box cannot drop one segment and forward the next: once the handshake is
	// over, Drop discards the rest of that direction, as Blackhole does.
	Drop

	// Blackhole silently discards this segment and all that its sender sends
	// from here on, acknowledgements included. The other direction works
	// until the missing acknowledgements stop it.
	Blackhole

	// Reset ends a TCP flow: the client gets a RST, the upstream a FIN. On
	// UDP it acts as Blackhole.
	Reset
)

// A Verdict has one of the constants, or a code point, in its low eight bits, and
// a delay in nanoseconds in its upper 48.
const (
	kindMask   Verdict = 0xff
	marked     Verdict = 1 << 8 // the low bits are a code point
	delayShift         = 16
	maxDelay           = 1<<(64-delayShift) - 1
)

// MarkAs returns the verdict that forwards the segment with the code point cp
// in place of its own. The ECN bits stay as they are. MarkAs uses the lower six
// bits of cp.
func MarkAs(cp dscp.CodePoint) Verdict {
	return marked | Verdict(cp&63)
}

// Mark returns the code point of a verdict made by [MarkAs].
func (v Verdict) Mark() (cp dscp.CodePoint, ok bool) {
	return dscp.CodePoint(v & 63), v&marked != 0
}

// DelayBy returns the verdict that forwards the segment later by d. What its sender
// sends after it is forwarded after it. Delays add up: those of several models, and
// those of segments that wait for one another. So a policer that lets one byte pass
// every t is
//
//	func(s Segment) Verdict {
//		if s.Handshake {
//			return Pass
//		}
//		return DelayBy(time.Duration(s.Length) * t)
//	}
//
// DelayBy(d) | MarkAs(cp) does both, and so does DelayBy(d) | Report. If d is not
// positive there is no delay; the longest is 78 hours. The kernel does the handshake,
// which therefore cannot be delayed: a box does not start with a model that delays
// it. On UDP a box drops a datagram if its queue of delayed ones is full.
func DelayBy(d time.Duration) Verdict {
	return Verdict(min(max(d, 0), maxDelay)) << delayShift
}

// Delay returns the delay of a verdict made with [DelayBy], else 0.
func (v Verdict) Delay() time.Duration { return time.Duration(v >> delayShift) }

// String returns the verdict in the past tense: "passed",
// "reported", "dropped", "blackholed", "reset", "marked AF21", "delayed by 5ms",
// or "marked AF21, delayed by 5ms".
func (v Verdict) String() string {
	s := v.withoutDelay().kindString()
	switch d := v.Delay(); {
	case d == 0:
		return s
	case v.withoutDelay() == Pass:
		return "delayed by " + d.String()
	default:
		return s + ", delayed by " + d.String()
	}
}

func (v Verdict) kindString() string {
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

// withoutDelay returns v without its delay.
func (v Verdict) withoutDelay() Verdict { return v & (marked | kindMask) }

// withoutMark returns v without its code point.
func (v Verdict) withoutMark() Verdict {
	if v&marked == 0 {
		return v
	}
	return v &^ (marked | kindMask)
}

// ends reports whether the flow, or one direction of it, is over with v.
func (v Verdict) ends() bool {
	v = v.withoutDelay()
	return v == Drop || v == Blackhole || v == Reset
}

// harder reports whether v does more harm than w.
func (v Verdict) harder(w Verdict) bool {
	return v.severity() > w.severity()
}

// severity orders verdicts by the harm they do: a delay is less than a rewritten
// mark, and that is less than a report, which fails a test.
func (v Verdict) severity() int {
	kind := v.withoutDelay()
	switch {
	case kind&marked != 0:
		return 2
	case kind != Pass:
		return 2 + int(kind)
	case v.Delay() > 0:
		return 1
	}
	return 0
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
