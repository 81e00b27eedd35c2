package main

const datagrams = "dscp/datagrams.go"

var datagramRules = part("Datagrams and WriteMarked",
	mutation{
		rule: "the pinned mark passes", how: "it is refused",
		file: datagrams, old: "return cp, cp == p.pinned(opt)", new: "return cp, false", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "a mark of Datagrams passes", how: "it is refused",
		file: datagrams, old: "c.pin.datagrams = d", new: "_ = d", test: "TestWireWriteMarked",
	},
	mutation{
		rule: "any other is ErrMidFlow and nothing is sent", how: "it is sent",
		file: datagrams, old: "case !ok:\n", new: "case !ok && cp > maxCodePoint:\n", test: "TestWriteMarkedWithoutDatagrams",
	},
	mutation{
		rule: "a value above 63 is ErrRange in WriteMarked", how: "it is ErrMidFlow",
		file: datagrams, old: "if err := cp.check(); err != nil {\n\t\treturn nil, err", new: "if err := cp.check(); err != nil && false {\n\t\treturn nil, err", test: "TestWriteMarkedWithoutDatagrams",
	},
	mutation{
		rule: "a value above 63 in Datagrams fails every network", how: "UDP's alone",
		file: datagrams, old: "range further {\n\t\tif err := cp.check(); err != nil {", new: "range further {\n\t\tif err := cp.check(); err != nil && strings.HasPrefix(network, \"udp\") {", test: "TestDatagramsOutOfRange",
	},
	mutation{
		rule: "on a system that cannot mark, the dial fails before there is a socket", how: "it goes on",
		file: datagrams, old: "check(network); err != nil {", new: "check(network); err != nil && false {", test: "TestDatagramsOnUnmarkableSystem",
	},
	mutation{
		rule: "a system that ignores the control message is refused", how: "it is not read",
		file: datagrams, old: "if opt.IgnoresMessage() {", new: "if opt.IgnoresMessage() && false {", test: "TestDatagramsIgnored",
	},
	mutation{
		rule: "what another has marked on the way tells nothing of the system", how: "it is taken for ignored",
		file: "internal/tos/cmsg_trial_unix.go", old: "ok && octet == socket {", new: "ok && octet != datagram {", test: "TestDatagramsRemarked", in: "dscp",
	},
	mutation{
		rule: "a datagram of the trial that is lost is sent again", how: "it is not",
		file: "internal/tos/cmsg_trial_unix.go", old: "for range 3 {", new: "for range 1 {", test: "TestDatagramsIgnored", in: "dscp",
	},
	mutation{
		rule: "on networks other than UDP Datagrams has no effect", how: "it has",
		file: datagrams, old: "if !strings.HasPrefix(network, \"udp\") {", new: "if !strings.HasPrefix(network, \"udp\") && false {", test: "TestDatagramsOnUnmarkableSystem",
	},
	mutation{
		rule: "WriteMarked accepts DSCP where AllowUnmarked left the socket unmarked", how: "it is refused",
		file: datagrams, old: "if dscp != DF {", new: "if dscp > maxCodePoint {", test: "TestDatagramsOnUnmarkableSystem",
	},
	mutation{
		rule: "on a system that cannot mark single datagrams, the dial fails", how: "the first datagram does",
		file: datagrams, old: "return c.pin.opError(\"pin\", err)", new: "return nil", test: "TestDatagramsWithoutControlMessages",
	},
	mutation{
		rule: "under AllowUnmarked such a datagram carries the socket's mark", how: "it fails",
		file: datagrams, old: "case p.datagrams.allowUnmarked:", new: "case p.datagrams.allowUnmarked && false:", test: "TestDatagramsWithoutControlMessages",
	},
	mutation{
		rule: "under NATSafe a datagram carries the NAT-safe mark", how: "the mark itself",
		file: datagrams, old: "= sent, sent\n", new: "= cp, sent\n", test: "TestWireWriteMarkedNATSafe",
	},
	mutation{
		rule: "WriteMarked accepts the NAT-safe mark, too", how: "it does not",
		file: datagrams, old: "1<<cp | 1<<sent", new: "1 << cp", test: "TestWireWriteMarkedNATSafe",
	},
	mutation{
		rule: "to an IPv4 peer of a dual-stack socket the IPv4 control message marks", how: "IPv6's",
		file: datagrams, old: "if p.dual && (to.Is4() || to.Is4In6()) {", new: "if p.dual && to.Is4() && to.Is4In6() {", test: "TestWireWriteMarked",
	},
	mutation{
		rule: "the ECN bits are those of the socket", how: "they are cleared",
		file: datagrams, old: "held&ecnMask), nil", new: "held&0), nil", test: "TestWireWriteMarked",
	},
	mutation{
		rule: "a socket that was connected past net writes to its peer", how: "it fails",
		file: datagrams, old: "if err != nil && toPeer {", new: "if err != nil && toPeer && false {", test: "TestWireWriteMarked",
	},
)
