package dscptest

import "github.com/godscp/godscp/dscp"

// A Model is how a network treats marks: it is asked about what a flow shows
// and says what happens to it. [VMware], [FlowKey] and [Bleach] are models;
// [DropMarked] and [Remark] make one. Write your own as a plain function:
//
//	// PoliceEF loses voice marks once a flow has carried 64 KiB.
//	func PoliceEF(s dscptest.Segment) dscptest.Verdict {
//		if s.DSCP == dscp.EF && s.Offset > 64<<10 {
//			return dscptest.Drop
//		}
//		return dscptest.Pass
//	}
//
// A Model must be a pure function of its argument: the box also calls it with
// segments that nobody sent, to learn which SYNs it would drop, and from
// several goroutines at once. It needs no socket and no clock, so that it can
// be tested and fuzzed by itself, inside [testing/synctest] as well. A nil
// Model passes everything.
type Model func(Segment) Verdict

// A Segment is what a [Model] judges: the mark of a TCP segment or UDP
// datagram, and what the same side of the flow has shown before.
//
// A box asks its models about the SYN and the SYN-ACK, about every mark that
// differs from the one before, and about whatever payload it has read, which may
// be one segment or many. On UDP it asks about every datagram.
type Segment struct {
	Network   string         // "tcp4", "tcp6", "udp4" or "udp6"
	Direction Direction      // who sent it
	Handshake bool           // a SYN or SYN-ACK; false on UDP
	DSCP      dscp.CodePoint // its mark, as the models before this one leave it
	First     dscp.CodePoint // the mark of the first segment in this direction; of that one, its own
	Prev      dscp.CodePoint // the mark of the segment before; of the first, its own
	Offset    int64          // bytes of payload in this direction before it; of a mark that differs, the least there can be, see [Change]
}

// Changed reports whether the segment's mark differs from the first that its
// direction showed.
func (s Segment) Changed() bool {
	return s.DSCP != s.First
}
