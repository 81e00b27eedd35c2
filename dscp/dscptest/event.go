package dscptest

import (
	"time"

	"github.com/godscp/godscp/dscp"
)

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
	FIN                   // the end of what a side had to say
	RST                   // the end of the connection, or its loss
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

// A box remembers the first events of a flow, and the last.
const (
	firstEvents = 64
	lastEvents  = 16
)

// events is the memory of a flow for its events.
type events struct {
	first []Event
	last  []Event // a ring once it is full
	next  int     // the oldest in the ring
}

func (e *events) add(v Event) {
	switch {
	case len(e.first) < firstEvents:
		e.first = append(e.first, v)
	case len(e.last) < lastEvents:
		e.last = append(e.last, v)
	default:
		e.last[e.next] = v
		e.next = (e.next + 1) % lastEvents
	}
}

// list returns the events in their order.
func (e *events) list() []Event {
	l := make([]Event, 0, len(e.first)+len(e.last))
	l = append(l, e.first...)
	l = append(l, e.last[e.next:]...)
	return append(l, e.last[:e.next]...)
}
