package main

import (
	"slices"

	"github.com/godscp/godscp/dscp"
)

// A probe is one way to mark a connection.
type probe struct {
	mark    dscp.CodePoint // from the first packet on
	changes bool           // to the mark to, after real bytes have gone both ways
	to      dscp.CodePoint
}

// control is the unmarked connection that all others are compared with.
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

// samePrecedence reports whether a change leaves the upper three bits alone.
func (p probe) samePrecedence() bool { return p.mark.Precedence() == p.to.Precedence() }

// farMark is of the pool for local use (RFC 2474, section 6), and one of the few
// marks that tell the rewriters of RFC 9435 apart which spare 11xxxx.
const farMark dscp.CodePoint = 0b110_111

// plan returns the probes for a mark, each once. A silent connection has no
// middle in which to change, and where nobody tells what arrives there is no use
// for farMark.
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

// otherThan returns the mark that programs change wanted to.
func otherThan(wanted dscp.CodePoint) dscp.CodePoint {
	if wanted == dscp.CS1 {
		return dscp.AF21
	}
	return dscp.CS1
}

// unique keeps the first of each.
func unique(probes []probe) []probe {
	var u []probe
	for _, p := range probes {
		if !slices.Contains(u, p) {
			u = append(u, p)
		}
	}
	return u
}
