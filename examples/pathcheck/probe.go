package main

import (
	"slices"

	"github.com/godscp/godscp/dscp"
)

// A probe is one way to mark a connection.
type probe struct {
	mark    dscp.CodePoint // from the first packet on
	changes bool           // it changes to the mark to, after both sides have sent data
	to      dscp.CodePoint
}

// control is an unmarked connection, for comparison.
var control = probe{}

func constant(cp dscp.CodePoint) probe     { return probe{mark: cp} }
func change(from, to dscp.CodePoint) probe { return probe{mark: from, changes: true, to: to} }

func (p probe) String() string {
	if p.changes {
		return p.mark.String() + "→" + p.to.String()
	}
	if p == control {
		return "unmarked"
	}
	return p.mark.String()
}

// samePrecedence reports whether both marks of a change have the same IP precedence.
func (p probe) samePrecedence() bool { return p.mark.Precedence() == p.to.Precedence() }

// farMark is from the pool for local use (RFC 2474, section 6). It distinguishes the
// rewriters of RFC 9435 that do not change 11xxxx.
const farMark dscp.CodePoint = 0b110_111

// plan returns the probes for a mark, each once. Only with -peer is farMark among them.
// For the scheme wait there are no changes, since it sends no data.
func plan(wanted dscp.CodePoint, scheme string) []probe {
	probes := []probe{
		constant(wanted),
		constant(wanted.NATSafe()),
		constant(dscp.LowDelay), constant(dscp.Throughput), constant(dscp.Reliability),
		constant(dscp.EF), constant(dscp.LE), constant(dscp.CS1),
	}
	if scheme == pathcheckPeer {
		probes = append(probes, constant(farMark))
	}
	if scheme != quiet {
		probes = append(probes,
			change(dscp.DF, wanted),
			change(wanted, otherThan(wanted)),
			change(dscp.DF, dscp.LowDelay),
		)
	}
	return slices.DeleteFunc(unique(probes), func(p probe) bool { return p == control || p.changes && p.mark == p.to })
}

// otherThan returns the second mark of a change that begins with wanted.
func otherThan(wanted dscp.CodePoint) dscp.CodePoint {
	if wanted == dscp.CS1 {
		return dscp.AF21
	}
	return dscp.CS1
}

// unique removes duplicates.
func unique(probes []probe) []probe {
	var u []probe
	for _, p := range probes {
		if !slices.Contains(u, p) {
			u = append(u, p)
		}
	}
	return u
}
