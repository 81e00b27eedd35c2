package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A row is the result of a strategy.
type row struct {
	strategy string
	syn      mark   // of the SYN; if the guest is the server, of its SYN-ACK
	after    mark   // the last mark
	marks    marks  // all marks, each that differs from the one before
	box      string // the verdict of the box
	program  string // the program's message
	outcome  outcome
	expected outcome
	carries  mark // expected on the SYN; unknown: no expectation

	hung bool           // broken by a timeout
	flow *dscptest.Flow // at the box; nil without a box
}

// A mark is a code point that may be unknown.
type mark struct {
	cp    dscp.CodePoint
	known bool
}

func known(cp dscp.CodePoint) mark { return mark{cp, true} }

// String returns the TOS octet and the name.
func (m mark) String() string {
	if !m.known {
		return "-"
	}
	return fmt.Sprintf("0x%02x %v", m.cp.TOS(), m.cp)
}

// marks are the marks of one side of a flow, in order.
type marks []dscp.CodePoint

// marksOf returns the marks of one side; nil if the box saw no packet of it.
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

// between returns the marks of a socket at its beginning and end; nil if one is unknown.
func between(first, last mark) marks {
	switch {
	case !first.known || !last.known:
		return nil
	case first == last:
		return marks{first.cp}
	}
	return marks{first.cp, last.cp}
}

// String returns the TOS octets; for a single mark, also the name.
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

// fatal returns the index of the first mark whose IP precedence differs from that of the
// first, at which VMware's NAT resets the flow, or -1.
func (m marks) fatal() int {
	return slices.IndexFunc(m, func(cp dscp.CodePoint) bool { return cp.Precedence() != m[0].Precedence() })
}

// MarshalText returns the name, or an empty text if the mark is unknown.
func (m mark) MarshalText() ([]byte, error) {
	if !m.known {
		return nil, nil
	}
	return m.cp.MarshalText()
}

// ok reports whether r is as expected. A skipped row is. A row that is expected to be
// broken must be broken by the box, and one with an expected mark must have it on the
// SYN.
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

// useless returns why a run without a model cannot be compared with one through the
// box; empty if it can.
func (r row) useless() string {
	switch {
	case r.outcome == skipped:
		return r.program
	case r.outcome != works:
		return "does not work on a direct path, either: " + r.program
	case len(r.marks) == 0:
		return "no marks on a direct path: " + r.program
	}
	return ""
}

// wanted returns the text of the expectation.
func (r row) wanted() string {
	switch {
	case r.expected == broken:
		return "broken by the box"
	case r.carries.known:
		return fmt.Sprintf("%s, with %v on the SYN", r.expected, r.carries.cp)
	}
	return string(r.expected)
}

// record adds the marks of the inside side and the verdict of the box.
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
	// The box broke the connection before login: this is a result.
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
