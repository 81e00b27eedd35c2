package dscptest

import "github.com/godscp/godscp/dscp"

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
