package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A row is what is known of a strategy once it has ended.
type row struct {
	strategy string
	syn      mark   // of the SYN; where the guest is the server, of its SYN-ACK
	after    mark   // the last one
	marks    marks  // all of them, each that differs from the one before
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

// marks are those that one side of a flow has shown, in their order.
type marks []dscp.CodePoint

// marksOf returns the marks of one side. They are empty if it has shown none.
func marksOf(f dscptest.Flow, side dscptest.Side) marks {
	m := marks{f.SYN}
	if side == dscptest.Server {
		if !f.Answered {
			return nil
		}
		m[0] = f.SYNACK
	}
	for _, c := range f.Changes {
		if c.Direction.From() == side {
			m = append(m, c.To)
		}
	}
	return m
}

// between returns the marks that are known of a socket, at its beginning and end.
func between(first, last mark) marks {
	switch {
	case !first.known || !last.known:
		return nil
	case first == last:
		return marks{first.cp}
	}
	return marks{first.cp, last.cp}
}

// String writes them as octets, which is what programs set and captures show; a
// single one has its name, too.
func (m marks) String() string {
	switch len(m) {
	case 0:
		return "-"
	case 1:
		return known(m[0]).String()
	}
	var octets []string
	for _, cp := range m {
		octets = append(octets, octet(cp))
	}
	return strings.Join(octets, "→")
}

// fatal returns the index of the first mark whose precedence is not that of the
// first one, and -1 if all have the same. VMware's NAT resets the flow there.
func (m marks) fatal() int {
	return slices.IndexFunc(m, func(cp dscp.CodePoint) bool { return cp.Precedence() != m[0].Precedence() })
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

// useless tells why a run with nothing in the way says nothing about boxes; it is
// empty if it does.
func (r row) useless() string {
	switch {
	case r.outcome == skipped:
		return r.program
	case r.outcome != works:
		return "does not work with nothing in the way either: " + r.program
	case len(r.marks) == 0:
		return "shows no mark: " + r.program
	}
	return ""
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
	r.marks = marksOf(f, inside)
	if len(r.marks) > 0 {
		r.syn, r.after = known(r.marks[0]), known(r.marks[len(r.marks)-1])
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
