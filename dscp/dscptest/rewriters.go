package dscptest

import "github.com/godscp/godscp/dscp"

// The rewriters of RFC 9435, section 4: what measurements have seen networks do
// to code points. They keep the ECN bits.

// Bleach sets every mark to DF: "Bleach-DSCP", the whole field zeroed. At the
// edge of networks this is common.
func Bleach(Segment) Verdict {
	return MarkAs(dscp.DF)
}

// BleachToSPrecedence clears the top three bits, as routers do that still
// think in terms of IP precedence: "Bleach-ToS-Precedence". AF11, AF21, AF31
// and AF41 all come out as 2, EF as 6; lowdelay and throughput pass unchanged.
func BleachToSPrecedence(s Segment) Verdict {
	return MarkAs(s.DSCP & 0b000_111)
}

// BleachSomeToS is [BleachToSPrecedence] that leaves marks alone whose top two
// bits are both set: "Bleach-some-ToS".
func BleachSomeToS(s Segment) Verdict {
	if s.DSCP&0b110_000 == 0b110_000 {
		return Pass
	}
	return BleachToSPrecedence(s)
}

// RemarkToS sets the top three bits to 001, the value in the RFC's figure, and
// keeps the others: "Re-mark-ToS".
func RemarkToS(s Segment) Verdict {
	return MarkAs(s.DSCP&0b000_111 | 0b001_000)
}

// BleachLow clears the bottom three bits: "Bleach-low". What is left is a class
// selector: AF21 comes out as CS2, EF as CS5, lowdelay and LE as DF.
func BleachLow(s Segment) Verdict {
	return MarkAs(s.DSCP & 0b111_000)
}

// BleachSomeLow is [BleachLow] that leaves marks alone whose top two bits are
// both set: "Bleach-some-low".
func BleachSomeLow(s Segment) Verdict {
	if s.DSCP&0b110_000 == 0b110_000 {
		return Pass
	}
	return BleachLow(s)
}

// Remark returns a model that sets every mark to cp: "Re-mark-DSCP". Of a cp
// above 63 only the lower six bits count.
func Remark(cp dscp.CodePoint) Model {
	return func(Segment) Verdict { return MarkAs(cp) }
}
