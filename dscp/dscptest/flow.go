package dscptest

import (
	"fmt"
	"net/netip"
	"strings"
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
	// Answered reports whether the mark of the server is known. It is not if
	// the kernel cannot report on the server's socket, see [Sensor].
	Answered bool

	// Changes are the marks that differed from the one before, in the order
	// in which they were noticed, both directions together.
	Changes []Change

	// Events are what arrived after the handshake: the first 64 and the last
	// 16. A gap in the offsets shows that some are missing.
	Events []Event

	Verdict   Verdict   // the most severe action taken
	Model     string    // the name of the model that asked for it; empty if Pass
	Reason    string    // why, in words; empty if Pass
	VerdictAt time.Time // when; zero if Pass

	// Reported is why a model first returned Report, in words, even if another
	// model's verdict was more severe; empty if none did.
	Reported string

	ClientBytes int64 // bytes of payload that the client sent and the box took
	ServerBytes int64 // bytes of payload that the server sent and the box took

	Over bool  // nothing more will happen to this flow
	Err  error // what went wrong in the box itself: the upstream could not be reached, a model panicked
}

// Changed reports whether either direction of the flow has shown two marks.
func (f Flow) Changed() bool {
	return len(f.Changes) > 0
}

// String describes the flow in one line:
//
//	flow 1, 127.0.0.1:40404 → 127.0.0.1:22: SYN DF; client→server: DF → AF21 at byte 21; reset (VMware: the client's mark went from DF to AF21)
func (f Flow) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "flow %d, %v → %v: ", f.ID, f.Client, f.Upstream)
	if isTCP(f.Network) {
		b.WriteString("SYN ")
	}
	fmt.Fprintf(&b, "%v", f.SYN)
	for _, c := range f.Changes {
		fmt.Fprintf(&b, "; %v", c)
	}
	fmt.Fprintf(&b, "; %v", f.Verdict)
	if f.Reason != "" {
		fmt.Fprintf(&b, " (%s)", f.Reason)
	}
	if f.Err != nil {
		fmt.Fprintf(&b, "; %v", f.Err)
	}
	return b.String()
}

// maxChanges bounds the record of a flow: a program may mark every datagram
// differently, for hours.
const maxChanges = 1000

// note keeps the most severe verdict on the flow.
func (f *Flow) note(d decision, reason string) {
	if d.verdict.harder(f.Verdict) {
		f.Verdict, f.Model, f.Reason, f.VerdictAt = d.verdict, d.model, reason, time.Now()
	}
	if d.reporter != "" && f.Reported == "" {
		// The reason begins with the name of the model that was most severe.
		f.Reported = d.reporter + strings.TrimPrefix(reason, d.model)
	}
}

// add keeps a change, up to maxChanges.
func (f *Flow) add(c Change) {
	if len(f.Changes) < maxChanges {
		f.Changes = append(f.Changes, c)
	}
}

// A Change is a mark that differs from the one before it in the same
// direction.
//
// The first byte of payload that was sent under the new mark lies between
// Offset and OffsetMax, counted from 0 in that direction. The two are equal if the
// sensor knows the place exactly, as [WireEvery] always does. With [WireLatest] and
// [SocketOption] the box only knows how much had arrived at two samples.
type Change struct {
	Direction Direction
	From, To  dscp.CodePoint
	Offset    int64
	OffsetMax int64
	At        time.Time // when the box noticed it
	Verdict   Verdict   // what was done about this change
	Reason    string    // why; empty if Pass
}

// Exact reports whether the offset of the change is known to the byte.
func (c Change) Exact() bool {
	return c.Offset == c.OffsetMax
}

// String describes the change in one line:
//
//	client→server: DF → AF21 at byte 21
func (c Change) String() string {
	where := fmt.Sprintf("at byte %d", c.Offset)
	if !c.Exact() {
		where = fmt.Sprintf("between bytes %d and %d", c.Offset, c.OffsetMax)
	}
	return fmt.Sprintf("%v: %v → %v %s", c.Direction, c.From, c.To, where)
}

// An Event is something that arrived at the box after the handshake: what one
// read returned, which on TCP may be one segment or many, or one datagram.
type Event struct {
	At        time.Time
	Direction Direction
	Kind      EventKind
	DSCP      dscp.CodePoint // the latest mark when it was read
	Offset    int64          // bytes of payload in this direction before it
	Bytes     int            // of payload
	Lost      bool           // the box did not send it on
}

// An EventKind is what arrived.
type EventKind uint8

// The kinds of events.
const (
	Data EventKind = iota // payload
	FIN                   // the end of what a side sends
	RST                   // a reset, or another error of the connection
)

// String returns "data", "FIN" or "RST".
func (k EventKind) String() string {
	switch k {
	case FIN:
		return "FIN"
	case RST:
		return "RST"
	}
	return "data"
}

// A flow keeps its first events and its last.
const (
	firstEvents = 64
	lastEvents  = 16
)

// An eventLog holds the events that a flow keeps.
type eventLog struct {
	first []Event
	last  []Event // a ring once it is full
	next  int     // the oldest in the ring
}

func (l *eventLog) add(v Event) {
	switch {
	case len(l.first) < firstEvents:
		l.first = append(l.first, v)
	case len(l.last) < lastEvents:
		l.last = append(l.last, v)
	default:
		l.last[l.next] = v
		l.next = (l.next + 1) % lastEvents
	}
}

// list returns the events in their order.
func (l *eventLog) list() []Event {
	events := make([]Event, 0, len(l.first)+len(l.last))
	events = append(events, l.first...)
	events = append(events, l.last[l.next:]...)
	return append(events, l.last[:l.next]...)
}
