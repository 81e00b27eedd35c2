package main

const (
	guard = "dscp/guard.go"
	watch = "dscp/watch.go"
	marks = "dscp/marks.go"
	xnet  = "dscp/xnet.go"
)

var xnetRules = part("What x/net does to a pinned socket",
	mutation{
		rule: "x/net's setting of an option is tried on another socket first", how: "on the flow itself, and put back",
		file: xnet, old: "return xnetSet // or", new: "return unknown // or", test: "TestXNetClosuresAreKnown",
	},
	mutation{
		rule: "x/net's reading of an option is recognised", how: "it is treated as a setting",
		file: xnet, old: "return xnetGet\n", new: "return xnetSet\n", test: "TestXNetClosuresAreKnown",
	},
	mutation{
		rule: "x/net's sending and receiving of messages is recognised", how: "it is watched",
		file: xnet, old: "return xnetIO\n", new: "return unknown\n", test: "TestXNetClosuresAreKnown",
	},
	mutation{
		rule: "a vendored x/net is recognised", how: "only one with the name of the module in front",
		file: xnet, old: `!strings.Contains(function, xnetSocket+".")`, new: `!strings.HasPrefix(function, xnetSocket+".")`, test: "TestXNetIsKnownByNameOrFile",
	},
	mutation{
		rule: "a function of x/net that the compiler has moved is recognised by its file", how: "it is not",
		file: xnet, old: " && !inXNetSocket(file) {", new: " {", test: "TestXNetIsKnownByNameOrFile",
	},
	mutation{
		rule: "the setters of marks are recognised", how: "SetTOS goes straight to the socket",
		file: xnet, old: "\"SetTOS\":          callerMark", new: "\"SetTOS\":          callerElse", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "the setters of other options are recognised", how: "SetTTL is not",
		file: xnet, old: "\"SetTTL\":                     callerElse", new: "\"SetTTL\":                     callerUnknown", test: "TestXNetMethodsAreReviewed",
	},
	mutation{
		rule: "the method is found at any depth of the stack", how: "within four frames",
		file: xnet, old: "range []int{common, len(stack)} {", new: "range []int{common} {", test: "TestXNetCallersAreKnown",
	},
	mutation{
		rule: "what the trial refuses does not touch the flow", how: "it runs on the flow first",
		file: guard, old: "if err := g.tryElsewhere(f); err != nil {", new: "_ = g.raw.Control(f)\n\t\t_ = g.option.Set(g.raw, g.cp.TOS())\n\t\tif err := g.tryElsewhere(f); err != nil {", test: "TestRefusedOptionNeverReachesTheFlow",
	},
	mutation{
		rule: "x/net's change of the mark is refused", how: "it is made",
		file: guard, old: "return g.opError(\"raw-control\", err)\n\t\t}\n", new: "return g.raw.Control(f)\n\t\t}\n", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "without a trial socket the flow is not touched", how: "the function runs on it",
		file: xnet, old: "case ran:\n\t\treturn ferr", new: "case ran, true:\n\t\treturn ferr", test: "TestWithoutTrialSocketNothingChanges",
	},
	mutation{
		rule: "the trial socket is of the flow's family", how: "it is IPv4's",
		file: xnet, old: "onTrialSocket(p.isIPv6(),", new: "onTrialSocket(false,", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "the trial socket holds the pinned marks", how: "it is unmarked",
		file: xnet, old: "if p.marks(opt) {", new: "if false {", test: "TestXNetIsRefusedForCurrentMark",
	},
	mutation{
		rule: "the trial socket is closed afterwards", how: "it is bound and stays open",
		file: xnet, old: "return errTrialDone", new: "return nil", test: "TestNothingLeaks",
	},
	mutation{
		rule: "nothing is tried while the marks cannot be read", how: "it is",
		file: xnet, old: "before, err := p.read(fd)\n\t\tif err != nil {", new: "before, err := p.read(fd)\n\t\tif err != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "other options of x/net reach the flow", how: "they end on the trial socket",
		file: guard, old: "case from == xnetGet, method == callerElse:\n\t\treturn g.raw.Control(f)", new: "case from == xnetGet:\n\t\treturn g.raw.Control(f)\n\tcase method == callerElse:\n\t\treturn g.tryElsewhere(f)", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "an option of x/net's that passed the trial is watched on the flow", how: "it is not",
		file: guard, old: "return g.opError(\"raw-control\", err)\n\t\t}\n", new: "return g.opError(\"raw-control\", err)\n\t\t}\n\t\treturn g.raw.Control(f)\n", test: "TestFaultAtEveryCall",
	},
)

var guardRules = part("The guard of SyscallConn",
	mutation{
		rule: "an unknown function under Control is compared before and after", how: "it runs without a comparison",
		file: guard, old: "w.once = func(fd uintptr) { w.refused = w.pin.watch(fd, func() { w.f(fd) }) }", new: "w.once = func(fd uintptr) { w.f(fd) }", test: "TestUnknownClosures",
	},
	mutation{
		rule: "an unknown function under Read is compared before and after", how: "it runs without a comparison",
		file: guard, old: "err := g.raw.Read(w.attempts)", new: "err := g.raw.Read(f)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "an unknown function under Write is compared before and after", how: "it runs without a comparison",
		file: guard, old: "err := g.raw.Write(w.attempts)", new: "err := g.raw.Write(f)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a function under Read or Write is not run again after a refusal", how: "it waits to be run again",
		file: guard, old: "return done || w.refused != nil", new: "return done", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a change is ErrMidFlow", how: "it is put back without an error",
		file: watch, old: "return refused\n}\n\n// foreign", new: "return nil\n}\n\n// foreign", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a change is put back", how: "it is refused and stays",
		file: marks, old: "if changed[opt] {", new: "if changed[opt] && false {", test: "TestUnknownClosures",
	},
	mutation{
		rule: "to what it was just before", how: "to the pinned mark",
		file: watch, old: "if err := before.write(fd, changed); err != nil {", new: "for _, opt := range tos.Both {\n\t\tbefore.octet[opt] = p.pinned(opt).TOS()\n\t}\n\tif err := before.write(fd, changed); err != nil {", test: "TestGuardRestoresMarkBeforeCall",
	},
	mutation{
		rule: "with the priority that Linux changes with the mark", how: "that stays",
		file: marks, old: "ok && now == m.priority {", new: "ok && now == m.priority || true {", test: "TestPriorityIsRestored",
	},
	mutation{
		rule: "only a value that the function changed is put back", how: "whatever is not the pinned mark",
		file: watch, old: "other && cp != p.pinned(opt) {", new: "(other || true) && cp != p.pinned(opt) {", test: "TestGuardRestoresMarkBeforeCall",
	},
	mutation{
		rule: "setting the pinned mark is allowed", how: "it is refused",
		file: watch, old: "other && cp != p.pinned(opt) {", new: "other {", test: "TestGuardRestoresMarkBeforeCall",
	},
	mutation{
		rule: "ECN bits are not guarded", how: "they are",
		file: watch, old: "other && cp != p.pinned(opt) {", new: "(other || after.octet[opt] != before.octet[opt]) && after.octet[opt] != p.pinned(opt).TOS() {", test: "TestUDPKeepsECN",
	},
	mutation{
		rule: "both options are read", how: "the option of the flow's packets alone",
		file: marks, old: "range p.options(fd) {", new: "range []tos.Option{p.option} {", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "both options are guarded", how: "IP_TOS alone",
		file: watch, old: "range tos.Both {", new: "range tos.Both[:1] {", test: "TestUnknownClosures",
	},
	mutation{
		rule: "functions may run at once", how: "one at a time",
		file: watch, old: "f()\n\treturn nil\n}\n", new: "alone.Lock()\n\tdefer alone.Unlock()\n\tf()\n\treturn nil\n}\n\nvar alone sync.Mutex\n", test: "TestClosuresMayWaitForOneAnother",
	},
	mutation{
		rule: "the comparison is with the value before the first of concurrent functions", how: "with the value when this one began",
		file: watch, old: "if w.running == 0 {", new: "if true {", test: "TestClosuresMayWaitForOneAnother",
	},
	mutation{
		rule: "every function that runs when a change is found gets the error", how: "the one that ends first",
		file: watch, old: "w.changes++\n\t\tw.latest = err", new: "return err", test: "TestClosuresMayWaitForOneAnother",
	},
	mutation{
		rule: "later ones do not", how: "they are",
		file: watch, old: "if w.changes != changes {", new: "if w.changes != 0 {", test: "TestClosuresMayWaitForOneAnother",
	},
	mutation{
		rule: "a function that panics is undone, too", how: "it is not",
		file: watch, old: "defer func() { refused = p.end(fd, changes) }() // even if f panics\n\tf()\n\treturn nil", new: "f()\n\treturn p.end(fd, changes)", test: "TestClosureThatPanics",
	},
	mutation{
		rule: "Control does not wait until the socket is writable", how: "it runs as Write does",
		file: guard, old: "err := g.raw.Control(w.once)", new: "err := g.raw.Write(func(fd uintptr) bool { w.once(fd); return true })", test: "TestControlDoesNotWaitForWrite",
	},
	mutation{
		rule: "the errors of net come through the guard", how: "they are lost",
		file: guard, old: "if refused == nil {\n\t\treturn err", new: "if refused == nil {\n\t\treturn nil", test: "TestGuardAfterClose",
	},
	mutation{
		rule: "SyscallConn of a closed conn is net.ErrClosed", how: "a raw conn that fails later",
		file: guard, old: "err := p.alive(); err != nil", new: "err := p.alive(); err != nil && false", test: "TestVerify",
	},
	mutation{
		rule: "a refusal names the requested mark", how: "the pinned mark",
		file: watch, old: "true, p.midFlow(opt, cp)", new: "true, p.midFlow(opt, p.pinned(opt))", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a function does not run while the marks cannot be read", how: "it does",
		file: watch, old: "if w.before, err = p.readAll(fd); err != nil {", new: "if w.before, err = p.readAll(fd); err != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "if the marks cannot be read after a function, they are put back", how: "it stays",
		file: watch, old: "changed := before.has //", new: "var changed [2]bool //", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "a put-back that fails is reported", how: "it is not",
		file: watch, old: "if err := before.write(fd, changed); err != nil {", new: "if err := before.write(fd, changed); err != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "a socket that was reset is not guarded where it refuses every option", how: "it is",
		file: marks, old: " || tos.Host.RefusesAfterReset && resetByPeer(err)", new: "", test: "TestGuardOfAResetConn",
	},
)
