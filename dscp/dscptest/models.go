package dscptest

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

// isTCP reports whether network is one of TCP's.
func isTCP(network string) bool {
	return network == "tcp4" || network == "tcp6" || network == "tcp"
}
