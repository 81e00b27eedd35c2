package trace

import (
	"fmt"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A kind is what a packet is for.
type kind uint8

const (
	syn kind = iota
	synACK
	ack // without payload, shown because of its mark
	data
	fin
	rst
)

// String returns the kind as listings have it.
func (k kind) String() string {
	return [...]string{"SYN", "SYN-ACK", "ACK", "data", "FIN", "RST"}[k]
}

// A packet is one row of a listing, one or more packets of a capture file, or one arrow
// of a picture.
type packet struct {
	at        time.Time
	direction dscptest.Direction
	kind      kind
	mark      dscp.CodePoint
	offset    int64
	bytes     int
	byBox     bool   // sent by the box and not by a side
	lost      bool   // not sent on by the box
	note      string // a change, a verdict or a reason
}

// packets makes the packets of a flow from its record.
func packets(f dscptest.Flow) []packet {
	var ps []packet
	tcp := strings.HasPrefix(f.Network, "tcp")
	if tcp {
		ps = handshake(f)
	}
	changes := f.Changes
	for _, e := range f.Events {
		// A change that this event shows becomes its note. Any other that the box
		// noticed until now, for example on an acknowledgement, becomes a packet.
		note := ""
		if e.Lost {
			note = "lost"
		}
		for len(changes) > 0 && !changes[0].At.After(e.At) {
			c := changes[0]
			changes = changes[1:]
			if c.At.Equal(e.At) && c.Direction == e.Direction && c.To == e.DSCP {
				note = tell(c)
			} else {
				ps = append(ps, lone(f, c))
			}
		}
		ps = append(ps, packet{
			at: e.At, direction: e.Direction, kind: kindOf(e.Kind), mark: e.DSCP,
			offset: e.Offset, bytes: e.Bytes, lost: e.Lost, note: note,
		})
	}
	for _, c := range changes {
		ps = append(ps, lone(f, c))
	}
	return append(ps, ending(f, ps)...)
}

// handshake returns the packets of a TCP handshake, as far as it went.
func handshake(f dscptest.Flow) []packet {
	ps := []packet{{at: f.Start, kind: syn, mark: f.SYN}}
	if f.Answered {
		ps = append(ps,
			packet{at: f.Start, direction: dscptest.ServerToClient, kind: synACK, mark: f.SYNACK},
			packet{at: f.Start, kind: ack, mark: f.SYN})
	}
	return ps
}

// lone returns the packet for a change that no event shows.
func lone(f dscptest.Flow, c dscptest.Change) packet {
	k := ack
	if !strings.HasPrefix(f.Network, "tcp") {
		k = data
	}
	return packet{at: c.At, direction: c.Direction, kind: k, mark: c.To, offset: c.OffsetMax, note: tell(c)}
}

// ending returns the reset that the box sent, if it sent one.
func ending(f dscptest.Flow, before []packet) []packet {
	switch {
	case f.Verdict == dscptest.Reset && strings.HasPrefix(f.Network, "tcp"):
		return []packet{{
			at: f.VerdictAt, direction: dscptest.ServerToClient, kind: rst, mark: lastMark(f), offset: f.ServerBytes,
			byBox: true, note: f.Reason,
		}}
	case f.Err != nil && len(before) > 0:
		return []packet{{
			at: f.End, direction: dscptest.ServerToClient, kind: rst, mark: lastMark(f), offset: f.ServerBytes,
			byBox: true, note: f.Err.Error(),
		}}
	}
	return nil
}

// lastMark returns the last mark of the server, with which the box sends its reset.
func lastMark(f dscptest.Flow) dscp.CodePoint {
	cp := f.SYNACK
	for _, c := range f.Changes {
		if c.Direction == dscptest.ServerToClient {
			cp = c.To
		}
	}
	return cp
}

func kindOf(k dscptest.EventKind) kind {
	switch k {
	case dscptest.FIN:
		return fin
	case dscptest.RST:
		return rst
	}
	return data
}

// tell describes a change and the verdict on it.
func tell(c dscptest.Change) string {
	s := fmt.Sprintf("%v → %v", c.From, c.To)
	if c.Verdict != dscptest.Pass {
		s += ", " + c.Verdict.String()
	}
	return s
}
