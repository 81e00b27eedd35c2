package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A sighting is what the far end says of the marks that arrived, if it can.
type sighting struct {
	SYN    *dscp.CodePoint `json:"syn,omitempty"`
	Latest *dscp.CodePoint `json:"latest,omitempty"` // of the latest segment; IPv6 only
}

// An arrival is how one mark arrived.
type arrival struct {
	sent, got dscp.CodePoint
	data      bool // on later segments, where that is another than on the SYN
}

// arrivalsOf returns how marks arrived, and what RFC 9435 calls it; no name if
// all arrived as they were sent, or the far end does not tell.
func arrivalsOf(trials []trial) ([]arrival, string) {
	var arrivals []arrival
	add := func(a arrival) {
		if !slices.Contains(arrivals, a) {
			arrivals = append(arrivals, a)
		}
	}
	for _, t := range trials {
		if t.seen == nil || t.seen.SYN == nil {
			continue
		}
		add(arrival{sent: t.probe.mark, got: *t.seen.SYN})
		if t.seen.Latest != nil && !t.probe.changes && *t.seen.Latest != *t.seen.SYN {
			add(arrival{sent: t.probe.mark, got: *t.seen.Latest, data: true})
		}
	}
	return arrivals, nameOf(arrivals)
}

// rewriters are the observations of RFC 9435, section 4, that are functions of the
// code point alone. Re-mark-ToS has a parameter, Re-mark-DSCP is all the rest.
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

// spareHigh leaves marks alone whose upper two bits are set.
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

// remarked describes what fits none of the others.
func remarked(arrivals []arrival) string {
	var to []string
	for _, a := range arrivals {
		if a.got != a.sent && !slices.Contains(to, a.got.String()) {
			to = append(to, a.got.String())
		}
	}
	return fmt.Sprintf("Re-mark-DSCP, to %s", strings.Join(to, ", "))
}
