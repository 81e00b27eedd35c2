package dscptest

import "github.com/godscp/godscp/dscp"

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
		if drops.has(s.DSCP) {
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
		if !s.Handshake && drops.has(s.DSCP) {
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

// A markSet is a set of code points, one bit each.
type markSet uint64

// setOf returns the set of cps, or of every code point but DF if there are none.
func setOf(cps []dscp.CodePoint) markSet {
	if len(cps) == 0 {
		return ^markSet(1 << dscp.DF)
	}
	var m markSet
	for _, cp := range cps {
		m |= 1 << (cp & 63)
	}
	return m
}

func (m markSet) has(cp dscp.CodePoint) bool { return m>>(cp&63)&1 != 0 }

// isTCP reports whether network is one of TCP's.
func isTCP(network string) bool {
	return network == "tcp4" || network == "tcp6" || network == "tcp"
}
