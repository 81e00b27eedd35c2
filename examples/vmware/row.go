package main

import (
	"fmt"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A row is what is known of a strategy once it has ended.
type row struct {
	strategy string
	syn      mark   // of the SYN; where the guest is the server, of its SYN-ACK
	after    mark   // the last one
	box      string // what the box did
	program  string // what the program saw
	outcome  outcome
	expected outcome
	carries  mark // expected on the SYN; unknown: nothing is

	hung bool           // broken, and by silence
	flow *dscptest.Flow // as the box saw it; nil without a box
}

// A mark is a code point that may be unknown.
type mark struct {
	cp    dscp.CodePoint
	known bool
}

func known(cp dscp.CodePoint) mark { return mark{cp, true} }

// String returns the octet, which is what programs set and captures show, and
// the name.
func (m mark) String() string {
	if !m.known {
		return "-"
	}
	return fmt.Sprintf("0x%02x %v", m.cp.TOS(), m.cp)
}

// MarshalText gives the name alone; it is empty if the mark is unknown.
func (m mark) MarshalText() ([]byte, error) {
	if !m.known {
		return nil, nil
	}
	return m.cp.MarshalText()
}

// ok reports whether r is as expected. A strategy that could not be tried
// disproves nothing. One that is expected to break has to break by the box's
// doing, and one that is expected to mark has to mark: else it proves nothing.
func (r row) ok() bool {
	switch {
	case r.outcome == skipped, r.expected == anything:
		return true
	case r.outcome != r.expected, r.carries.known && r.syn != r.carries:
		return false
	case r.expected == broken:
		return r.flow != nil && r.flow.Verdict != dscptest.Pass
	}
	return true
}

// wanted is the expectation in words.
func (r row) wanted() string {
	switch {
	case r.expected == broken:
		return "broken by the box"
	case r.carries.known:
		return fmt.Sprintf("%s, with %v on the SYN", r.expected, r.carries.cp)
	}
	return string(r.expected)
}

// record adds what the box saw of the side inside.
func (r *row) record(f dscptest.Flow, inside dscptest.Side) {
	r.flow = &f
	r.syn = known(f.SYN)
	if inside == dscptest.Server {
		r.syn = mark{f.SYNACK, f.Answered}
	}
	r.after = r.syn
	for _, c := range f.Changes {
		if c.Direction.From() == inside {
			r.after = known(c.To)
		}
	}
	r.box = f.Verdict.String()
	if fatal, ok := r.fatal(); ok {
		r.box = fmt.Sprintf("%v, precedence %d to %d", f.Verdict, fatal.From.Precedence(), fatal.To.Precedence())
	}
	if f.Err != nil {
		r.box = fmt.Sprintf("failed: %v", f.Err)
	}
	// A client that the box ended before it was logged in did not fail for
	// reasons of its own.
	if r.outcome == skipped && f.Verdict != dscptest.Pass {
		r.outcome = broken
	}
}

// fatal returns the change of mark that ended the flow.
func (r row) fatal() (dscptest.Change, bool) {
	if r.flow != nil && r.flow.Verdict != dscptest.Pass {
		for _, c := range r.flow.Changes {
			if c.Verdict == r.flow.Verdict {
				return c, true
			}
		}
	}
	return dscptest.Change{}, false
}
