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
// published reports (vmware/open-vm-tools#287, hashicorp/vagrant#10730): a flow
// survives octet 0x00 → 0x10 and 0x00 → 0x08, and is reset at 0x00 → 0x48. A TCP
// that still checks precedence as RFC 793 asks would do that; RFC 2873 describes the
// conflict. The rule predicts that 0x48 → 0x20 is reset, too. The model was not
// compared with VMware itself, and newer versions may be fixed.
//
// In the reports the marks of the host inside the NAT decide, whether that is the
// client or the server. Set [Config].Inside to that side.
func VMware(s Segment) Verdict {
	if isTCP(s.Network) && s.DSCP.Precedence() != s.First.Precedence() {
		return Reset
	}
	return Pass
}

// FlowKey silently drops everything that a direction sends after its mark has
// changed, whatever the change.
//
// It models boxes that have the code point in the key of their flow table. The
// Vodafone Station HHG2500 behaves so: a connection with its SYN at 0x48 and the rest
// at 0x20 after login falls silent, and one that keeps either octet works
// (https://matteocroce.it/blog/ssh-low-qos). That the flow key is the cause is the
// reporter's guess.
func FlowKey(s Segment) Verdict {
	if s.Changed() {
		return Blackhole
	}
	return Pass
}

// DropMarked returns a model that drops everything marked with one of cps, or with
// anything but DF if there are none. A marked SYN never arrives, so an attempt to
// connect with one times out. A flow that changes to such a mark falls silent.
//
// It models paths that do not carry a mark at all. MediaTek's MT7622 and MT79xx
// Wi-Fi lost every frame marked 0x48, SYN-ACKs among them
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
// It models what users of the Raspberry Pi's Wi-Fi saw, where a login hung after
// the password: packets marked 0x10 were lost or late by tens of seconds
// (raspberrypi/linux#1342 and #1519). It also models the hang of dropbear with AF21
// over IPsec (mkj/dropbear#193). The symptoms suggest that the data is lost and not
// the handshake; no capture is known.
func DropMarkedData(cps ...dscp.CodePoint) Model {
	drops := setOf(cps)
	return func(s Segment) Verdict {
		if !s.Handshake && drops.Has(s.DSCP) {
			return Drop
		}
		return Pass
	}
}

// OneMark forwards everything. When the test ends, it fails the test for every flow
// in which one direction showed two marks, like a race detector. A program that
// passes with OneMark also passes with [VMware] and [FlowKey], as far as the box's
// [Sensor] can see. Put OneMark before models that end flows: a box calls no model
// after one that did.
//
// With [Start] there is no test to fail: look at [Flow].Reported in
// [Middlebox.Flows].
func OneMark(s Segment) Verdict {
	if s.Changed() {
		return Report
	}
	return Pass
}

// The models below rewrite code points as networks were measured to do (RFC 9435,
// section 4). They keep the ECN bits.

// Bleach sets every mark to DF: "Bleach-DSCP". This is common at the edge of
// networks.
func Bleach(Segment) Verdict {
	return MarkAs(dscp.DF)
}

// BleachToSPrecedence clears the top three bits, as routers do that still use IP
// precedence: "Bleach-ToS-Precedence". AF11, AF21, AF31 and AF41 all become 2, EF
// becomes 6; lowdelay and throughput stay the same.
func BleachToSPrecedence(s Segment) Verdict {
	return MarkAs(s.DSCP & 0b000_111)
}

// BleachSomeToS does what [BleachToSPrecedence] does, except to marks whose top two
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

// BleachLow clears the bottom three bits: "Bleach-low". That leaves a class
// selector: AF21 becomes CS2, EF becomes CS5, lowdelay and LE become DF.
func BleachLow(s Segment) Verdict {
	return MarkAs(s.DSCP & 0b111_000)
}

// BleachSomeLow does what [BleachLow] does, except to marks whose top two bits are
// both set: "Bleach-some-low".
func BleachSomeLow(s Segment) Verdict {
	if s.DSCP&0b110_000 == 0b110_000 {
		return Pass
	}
	return BleachLow(s)
}

// Remark returns a model that sets every mark to cp: "Re-mark-DSCP". It uses the
// lower six bits of cp.
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
