package main

const (
	reflectGo = "dscp/reflect.go"
	group     = "dscp/group.go"
	steer     = "internal/reuseport/steer_linux.go"
	hold      = "internal/reuseport/hold_linux.go"
)

var reflectRules = part("Reflect",
	mutation{
		rule: "NATSafe maps every mark of Reflect", how: "none",
		file: reflectGo, old: "newMarking(cp, lc.NATSafe, false)", new: "newMarking(cp, false, false)", test: "TestReflected",
	},
	mutation{
		rule: "each mark has one socket", how: "a repeated one has two",
		file: reflectGo, old: "&& !slices.Contains(classes, cp) {", new: "&& (true || !slices.Contains(classes, cp)) {", test: "TestReflected",
	},
	mutation{
		rule: "DSCP has no second socket through Reflect", how: "it has a second one",
		file: reflectGo, old: "if cp != lc.marking().cp && ", new: "if ", test: "TestReflected",
	},
	mutation{
		rule: "Reflect has no effect on networks other than TCP", how: "it has",
		file: reflectGo, old: " || !isTCP(network) ||", new: " ||", test: "TestReflected",
	},
	mutation{
		rule: "a value above 63 fails before there is a socket", how: "it goes on",
		file: reflectGo, old: "if err := cp.check(); err != nil {", new: "if err := cp.check(); err != nil && false {", test: "TestReflectOutOfRange",
	},
	mutation{
		rule: "a system that cannot reflect fails", how: "it goes on",
		file: reflectGo, old: "len(classes) != 0 && !canReflect() {", new: "len(classes) != 0 && !canReflect() && false {", test: "TestReflectElsewhere",
	},
	mutation{
		rule: "AllowUnmarked listens without Reflect there", how: "it fails",
		file: reflectGo, old: " || lc.AllowUnmarked && !canReflect() {", new: " {", test: "TestReflectElsewhere",
	},
	mutation{
		rule: "Wrap refuses Reflect", how: "it ignores it",
		file: listen, old: "if classes := lc.reflected(network); len(classes) != 0 {\n\t\treturn nil, opError(\"wrap\"", new: "if classes := lc.reflected(network); len(classes) != 0 && false {\n\t\treturn nil, opError(\"wrap\"", test: "TestReflectWrap",
	},
	mutation{
		rule: "each class is marked", how: "all as DSCP",
		file: reflectGo, old: "tolerate(mark(network, address, cp, c, true))", new: "tolerate(mark(network, address, lc.marking().cp, c, true))", test: "TestReflectAccept",
	},
	mutation{
		rule: "DF is a class like any other", how: "its socket is left as it is",
		file: reflectGo, old: "return lc.marking().tolerate(mark(network", new: "if cp == DF {\n\t\t\treturn nil\n\t\t}\n\t\treturn lc.marking().tolerate(mark(network", test: "TestReflectControl",
	},
	mutation{
		rule: "SYNs are lost until all sockets are there", how: "the first answers them",
		file: reflectGo, old: "if err == nil {\n\t\t\tm.held, err = reuseport.Hold(c)", new: "if false {\n\t\t\tm.held, err = reuseport.Hold(c)", test: "TestWireReflectOpening",
	},
	mutation{
		rule: "the sockets of a group save SYNs", how: "they do not",
		file: reflectGo, old: "mark, saveSYNHook, group)", new: "mark, group)", test: "TestReflectAccept",
	},
	mutation{
		rule: "if one socket fails none is left", how: "the others stay open",
		file: reflectGo, old: "for _, m := range members {\n\t\t\t\tm.Close()", new: "for _, m := range members {\n\t\t\t\t_ = m", test: "TestReflectLeavesNothing",
	},
	mutation{
		rule: "a Listener that is dropped is closed", how: "its sockets stay",
		file: reflectGo, old: "closeUnreachable(l)\n", new: "", test: "TestReflectLeavesNothing",
	},
	mutation{
		rule: "a connection in the class of another SYN is refused", how: "it is handed out",
		file: group, old: "return requested, conn.pin.opError(\"accept\", &MarkError{CodePoint: requested, Option: conn.pin.option.String(), Err: errClass})", new: "return requested, nil", test: "TestReflectProgramReplaced",
	},
	mutation{
		rule: "an error from before the call of Accept is not returned", how: "it is",
		file: group, old: "a.err == nil || a.calls >= call {", new: "a.err == nil || a.calls >= call || true {", test: "TestReflectNoDescriptors",
	},
	mutation{
		rule: "the second Close is net.ErrClosed", how: "it is nil",
		file: group, old: "if g.closed.Swap(true) {", new: "if g.closed.Swap(true) && false {", test: "TestReflectAsOneListener",
	},
	mutation{
		rule: "after Close the descriptor of File answers every SYN", how: "it loses them",
		file: group, old: "if i == 0 && g.lent.Load() {", new: "if false {", test: "TestReflectFile",
	},
	mutation{
		rule: "a group that closes loses SYNs rather than answer in a wrong class", how: "it answers",
		file: group, old: "g.hold()\n\t\tfor", new: "for", test: "TestReflectCloseUnderLoad",
	},
	mutation{
		rule: "the index of a SYN's class is its place in Reflect", how: "the one before",
		file: steer, old: "Val: uint32(i + 1)}", new: "Val: uint32(i)}", test: "TestSteering",
	},
	mutation{
		rule: "the ECN bits of an IPv4 SYN do not count", how: "they do",
		file: steer, old: "Val: 0xfc},\n\t\tbpf.Jump{", new: "Val: 0xff},\n\t\tbpf.Jump{", test: "TestSteering",
	},
	mutation{
		rule: "the ECN bits of an IPv6 SYN do not count", how: "they do",
		file: steer, old: "Val: 0xfc},\n\t}\n", new: "Val: 0xff},\n\t}\n", test: "TestSteering",
	},
	mutation{
		rule: "the IP version in the header decides where the octet is", how: "IPv6 is read as IPv4",
		file: steer, old: "Val: 6, SkipTrue: 3}", new: "Val: 7, SkipTrue: 3}", test: "TestSteering",
	},
	mutation{
		rule: "Hold keeps an existing filter", how: "it replaces it",
		file: hold, old: "err == nil && !has {", new: "err == nil && (!has || true) {", test: "TestHold",
	},
	mutation{
		rule: "Hold drops first SYNs", how: "it loses none",
		file: hold, old: "Val: 0x02, SkipTrue: 1}", new: "Val: 0x80, SkipTrue: 1}", test: "TestWithoutSYN",
	},
	mutation{
		rule: "Hold passes the rest of a handshake", how: "not a segment with ACK and SYN",
		file: hold, old: "Op: bpf.ALUOpAnd, Val: 0x12}", new: "Op: bpf.ALUOpAnd, Val: 0x02}", test: "TestWithoutSYN",
	},
)
