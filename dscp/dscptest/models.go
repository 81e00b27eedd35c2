package dscptest

import (
	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// VMware resets a flow whose IP precedence changes: the top three bits of the
// TOS or Traffic Class octet of one direction differ from those of the first
// segment in that direction. TCP only.
//
// It models the NAT of VMware Workstation, Player and Fusion, fitted to
// published reports (vmware/open-vm-tools#287, hashicorp/vagrant#10730): octet
// 0x00 → 0x10 and 0x00 → 0x08 live, 0x00 → 0x48 dies. That is what a TCP that
// still checks precedence as RFC 793 asks would do; RFC 2873 describes the
// conflict. That 0x48 → 0x20 dies too is the rule's prediction. Nobody here
// has run VMware, and newer versions may be fixed.
//
// In the reports the marks of the host inside the NAT decide, be it the client
// or the server; [Config].Inside says which one that is.
func VMware(s Segment) Verdict {
	if isTCP(s.Network) && s.DSCP.Precedence() != s.First.Precedence() {
		return Reset
	}
	return Pass
}

// FlowKey silently loses everything that a direction sends after its mark has
// changed, whatever the change.
//
// It models boxes with the code point in the key of their flow table. The
// Vodafone Station HHG2500 behaves so: SYN at 0x48, 0x20 after login, silence;
// either of the two from first to last works
// (https://matteocroce.it/blog/ssh-low-qos). That the flow key is the cause is
// the reporter's guess.
func FlowKey(s Segment) Verdict {
	if s.Changed() {
		return Blackhole
	}
	return Pass
}

// DropMarked returns a model that loses everything marked with one of cps, or
// with anything but DF if there are none: a marked SYN never arrives, and an
// attempt to connect with one times out. A flow that takes such a mark later on
// falls silent.
//
// It models paths that do not carry a mark at all. MediaTek's MT7622 and MT79xx
// wifi lost every frame marked 0x48, SYN-ACKs among them
// (Entware/Entware#1271); a provider dropped EF (openssh-unix-dev, April 2026).
func DropMarked(cps ...dscp.CodePoint) Model {
	drops := setOf(cps)
	return func(s Segment) Verdict {
		if drops.Has(s.DSCP) {
			return Drop
		}
		return Pass
	}
}

// DropMarkedData is [DropMarked] for what follows the handshake: connections
// come up, marked or not, and hang with the first marked data.
//
// It models what users of the Raspberry Pi's wifi saw, where a login hung after
// the password: packets marked 0x10 were lost or late by tens of seconds
// (raspberrypi/linux#1342 and #1519), and the hang of dropbear with AF21 over
// IPsec (mkj/dropbear#193). That it is the data and not the handshake that is
// lost is how the symptoms read; no capture is known.
func DropMarkedData(cps ...dscp.CodePoint) Model {
	drops := setOf(cps)
	return func(s Segment) Verdict {
		if !s.Handshake && drops.Has(s.DSCP) {
			return Drop
		}
		return Pass
	}
}

// OneMark harms nothing and fails the test, when it ends, for every flow in
// which one direction showed two marks: a race detector for marks. A program
// that is green behind it has nothing to fear from [VMware] and [FlowKey], as far
// as the box's [Sensor] sees. Put it before models that end flows: those behind
// them are not asked any more.
//
// With [Start] there is no test to fail: look for Reported in
// [Middlebox.Flows].
func OneMark(s Segment) Verdict {
	if s.Changed() {
		return Report
	}
	return Pass
}

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

// setOf returns the set of cps, or of every code point but DF if there are none.
func setOf(cps []dscp.CodePoint) kernel.MarkSet {
	if len(cps) == 0 {
		return ^kernel.MarkSet(1 << dscp.DF)
	}
	var m kernel.MarkSet
	for _, cp := range cps {
		m |= 1 << (cp & 63)
	}
	return m
}

// isTCP reports whether network is one of TCP's.
func isTCP(network string) bool {
	return network == "tcp4" || network == "tcp6" || network == "tcp"
}
