package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A sighting has the marks that arrived at the server, as far as it can read them. The
// protocol between -peer and -serve uses the JSON keys.
type sighting struct {
	SYN    *dscp.CodePoint  `json:"syn,omitempty"`
	Latest *dscp.CodePoint  `json:"latest,omitempty"` // of the latest segment; IPv6 only
	After  []dscp.CodePoint `json:"after,omitempty"`  // of the segments after the SYN, each mark once, in order
	Sees   string           `json:"sees,omitempty"`   // the segments that the server can see
}

// The values of Sees.
const (
	seesHandshake = "the handshake"                // IPv4, without privilege
	seesLatest    = "the latest segment, if asked" // IPv6
	seesAll       = "every segment"
)

// add puts the marks of an earlier answer before those of s.
func (s *sighting) add(earlier *sighting) {
	if earlier == nil {
		return
	}
	after := slices.Clone(earlier.after())
	for _, cp := range s.after() {
		if !slices.Contains(after, cp) {
			after = append(after, cp)
		}
	}
	s.After = after
}

// after returns the marks of the segments after the SYN. Older servers send Latest and
// no After.
func (s *sighting) after() []dscp.CodePoint {
	if s.Latest == nil || slices.Contains(s.After, *s.Latest) {
		return s.After
	}
	return append(slices.Clone(s.After), *s.Latest)
}

// changed reports whether a flow that was sent with one mark arrived with more than one.
func (s *sighting) changed() bool {
	return s != nil && s.SYN != nil && slices.ContainsFunc(s.after(), func(cp dscp.CodePoint) bool { return cp != *s.SYN })
}

// An arrival is a mark as sent and as it arrived.
type arrival struct{ sent, got dscp.CodePoint }

// arrivalsOf returns how the marks of SYNs arrived, and the name of RFC 9435 for it. The
// name is empty if all arrived unchanged or the server did not report any.
func arrivalsOf(trials []trial) ([]arrival, string) {
	var arrivals []arrival
	for _, t := range trials {
		if t.seen == nil || t.seen.SYN == nil {
			continue
		}
		if a := (arrival{t.probe.mark, *t.seen.SYN}); !slices.Contains(arrivals, a) {
			arrivals = append(arrivals, a)
		}
	}
	return arrivals, nameOf(arrivals)
}

// A wayChange is a flow that was sent with one mark and arrived with several.
type wayChange struct {
	probe  probe
	arrive []dscp.CodePoint // the marks in order, that of the SYN first
}

func (c wayChange) String() string {
	var marks []string
	for _, cp := range c.arrive {
		marks = append(marks, cp.String())
	}
	return strings.Join(marks, "→")
}

// changesOnTheWay returns the flows within which the path changed the mark, one for each
// probe.
func changesOnTheWay(trials []trial) []wayChange {
	var changes []wayChange
	for _, t := range trials {
		if t.probe.changes || !t.seen.changed() ||
			slices.ContainsFunc(changes, func(c wayChange) bool { return c.probe == t.probe }) {
			continue
		}
		c := wayChange{t.probe, []dscp.CodePoint{*t.seen.SYN}}
		for _, cp := range t.seen.after() {
			if cp != c.arrive[len(c.arrive)-1] {
				c.arrive = append(c.arrive, cp)
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// changesWithin begins the finding about a path that changes marks within a flow.
const changesWithin = "changes the mark within a flow: "

func onTheWayFindings(changes []wayChange) []finding {
	if len(changes) == 0 {
		return nil
	}
	var how []string
	var seen []probe
	for _, c := range changes {
		how, seen = append(how, c.String()), append(seen, c.probe)
	}
	return []finding{{text: changesWithin + strings.Join(how, ", "), seen: seen}}
}

// blindNote returns a note if the server can see only the handshake, else "".
func blindNote(trials []trial) string {
	for _, t := range trials {
		if t.seen != nil && t.seen.Sees == seesHandshake {
			return "over IPv4 the server sees only the marks of the handshake, unless it has CAP_NET_RAW: " +
				"it would not see a later change in the flow"
		}
	}
	return ""
}

// rewriters are the observations of RFC 9435, section 4, that are functions of only the
// code point. Re-mark-ToS has a parameter, too; Re-mark-DSCP is any other change.
var rewriters = []struct {
	name string
	does func(dscp.CodePoint) dscp.CodePoint
}{
	{"Bleach-DSCP", func(dscp.CodePoint) dscp.CodePoint { return dscp.DF }},
	{"Bleach-ToS-Precedence", func(c dscp.CodePoint) dscp.CodePoint { return c & 0b000_111 }},
	{"Bleach-some-ToS", spareHigh(func(c dscp.CodePoint) dscp.CodePoint { return c & 0b000_111 })},
	{"Bleach-low", func(c dscp.CodePoint) dscp.CodePoint { return c & 0b111_000 }},
	{"Bleach-some-low", spareHigh(func(c dscp.CodePoint) dscp.CodePoint { return c & 0b111_000 })},
}

// spareHigh returns a function that does not change marks whose upper two bits are set.
func spareHigh(does func(dscp.CodePoint) dscp.CodePoint) func(dscp.CodePoint) dscp.CodePoint {
	return func(c dscp.CodePoint) dscp.CodePoint {
		if c&0b110_000 == 0b110_000 {
			return c
		}
		return does(c)
	}
}

// nameOf returns the names that fit every arrival.
func nameOf(arrivals []arrival) string {
	if !slices.ContainsFunc(arrivals, func(a arrival) bool { return a.got != a.sent }) {
		return ""
	}
	all := func(fits func(arrival) bool) bool {
		return !slices.ContainsFunc(arrivals, func(a arrival) bool { return !fits(a) })
	}
	var fitting []string
	for _, r := range rewriters {
		if all(func(a arrival) bool { return a.got == r.does(a.sent) }) {
			fitting = append(fitting, r.name)
		}
	}
	for p := dscp.CodePoint(1); p < 8; p++ {
		if all(func(a arrival) bool { return a.got == a.sent&0b000_111|p<<3 }) {
			fitting = append(fitting, "Re-mark-ToS")
		}
	}
	if len(fitting) == 0 {
		return remarked(arrivals)
	}
	return strings.Join(fitting, " or ")
}

// remarked describes a change that no other name fits.
func remarked(arrivals []arrival) string {
	var to []string
	for _, a := range arrivals {
		if a.got != a.sent && !slices.Contains(to, a.got.String()) {
			to = append(to, a.got.String())
		}
	}
	return fmt.Sprintf("Re-mark-DSCP, to %s", strings.Join(to, ", "))
}
