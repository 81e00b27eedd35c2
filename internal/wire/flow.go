package wire

import (
	"net/netip"
	"strings"
)

// Text lists packets, one per line.
func Text(packets []Packet) string {
	var b strings.Builder
	for _, p := range packets {
		b.WriteString(p.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Closed returns a condition for [Capture.Until] that holds once n TCP flows
// have ended: from a SYN to the acknowledgement of both FINs, or to a RST.
func Closed(n int) func(Packet) bool {
	type side struct {
		fin   uint32 // the sequence number that acknowledges the FIN
		sent  bool
		acked bool
	}
	type pair struct{ src, dst netip.AddrPort }
	open := map[pair]*side{} // two entries per flow, one for each direction
	return func(p Packet) bool {
		there, back := pair{p.Src, p.Dst}, pair{p.Dst, p.Src}
		if p.Has(SYN) && !p.Has(ACK) && open[there] == nil {
			open[there], open[back] = &side{}, &side{}
		}
		mine, theirs := open[there], open[back]
		if mine == nil {
			return false // the SYN was before the capture, or the flow is over
		}
		if p.Has(FIN) {
			mine.sent, mine.fin = true, p.Seq+uint32(p.Len)+1
		}
		if theirs.sent && p.Has(ACK) && p.Ack == theirs.fin {
			theirs.acked = true
		}
		if p.Has(RST) || mine.acked && theirs.acked {
			delete(open, there)
			delete(open, back)
			n--
		}
		return n <= 0
	}
}
