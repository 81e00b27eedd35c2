package main

const (
	guard    = "dscp/guard.go"
	rehearse = "dscp/rehearse.go"
)

var guardRules = part("The guard of SyscallConn",
	mutation{
		rule: "x/net's setting of an option is tried elsewhere first", how: "on the flow itself, and put back",
		file: rehearse, old: "case \"(*Option).set.func1\":\n\t\treturn xnetSet", new: "case \"(*Option).set.func1\":\n\t\treturn unknown", test: "TestXNetClosuresAreKnown",
	},
	mutation{
		rule: "what the rehearsal refuses does not touch the flow", how: "it runs on the flow first",
		file: guard, old: "if changes != nil {\n", new: "if changes != nil {\n\t\t\t_ = g.raw.Control(f)\n\t\t\t_ = g.option.set(g.raw, g.cp.TOS())\n", test: "TestRefusedOptionNeverReachesTheFlow",
	},
	mutation{
		rule: "x/net's change of the mark is refused", how: "it is made",
		file: guard, old: "if changes != nil {\n", new: "if changes != nil && false {\n", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "without a scratch socket the flow is not touched", how: "the closure runs on it",
		file: guard, old: "changes, err := g.rehearse(f)\n\t\tif err != nil {", new: "changes, err := g.rehearse(f)\n\t\tif err != nil && false {", test: "TestWithoutScratchSocketNothingChanges",
	},
	mutation{
		rule: "the scratch socket is of the flow's family", how: "it is IPv4's",
		file: rehearse, old: "onScratchSocket(held.has(trafficClass),", new: "onScratchSocket(false,", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "the scratch socket holds the flow's marks", how: "it is unmarked",
		file: rehearse, old: "if held.has(opt) {", new: "if false {", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "the rehearsal looks at both options", how: "at IP_TOS alone",
		file: rehearse, old: "return err\n\t\t}\n\t\tfor _, opt := range []option{ipTOS, trafficClass} {\n\t\t\tif wanted", new: "return err\n\t\t}\n\t\tfor _, opt := range []option{ipTOS} {\n\t\t\tif wanted", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "the scratch socket is gone afterwards", how: "it is bound and stays open",
		file: rehearse, old: "return errEnough", new: "return nil", test: "TestNothingLeaks",
	},
	mutation{
		rule: "x/net is known by the end of the name, so vendored too", how: "by the whole name",
		file: rehearse, old: "_, name, ok := strings.Cut(", new: "name, ok := strings.CutPrefix(", test: "TestVendoredXNetIsKnown",
	},
	mutation{
		rule: "other options of x/net reach the flow", how: "they end on the scratch socket",
		file: guard, old: "return g.opError(\"raw-control\", changes)\n\t\t}\n", new: "return g.opError(\"raw-control\", changes)\n\t\t}\n\t\treturn nil\n", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "an unknown closure under Control is compared before and after", how: "it just runs",
		file: guard, old: "refused = watch(fd, func() { f(fd) })", new: "_ = watch\n\t\tf(fd)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "an unknown closure under Read is compared before and after", how: "it just runs",
		file: guard, old: "err := g.raw.Read(g.watched(f, &refused))", new: "err := g.raw.Read(f)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "an unknown closure under Write is compared before and after", how: "it just runs",
		file: guard, old: "err := g.raw.Write(g.watched(f, &refused))", new: "err := g.raw.Write(f)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a refused run is the last", how: "it waits to be run again",
		file: guard, old: "return done || *refused != nil", new: "return done", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a change is ErrMidFlow", how: "it is put back in silence",
		file: guard, old: "refused = g.midFlow(opt, wanted)\n", new: "", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a change is put back", how: "it is refused and stays",
		file: guard, old: "errors.Join(failed, opt.set(heldFD(fd), before[opt].octet))", new: "errors.Join(failed, nil)", test: "TestUnknownClosures",
	},
	mutation{
		rule: "to what it was just before", how: "to the pinned mark",
		file: guard, old: "opt.set(heldFD(fd), before[opt].octet)", new: "opt.set(heldFD(fd), g.pinned(opt).TOS())", test: "TestPutBackToWhatWasJustBefore",
	},
	mutation{
		rule: "only a value that the closure changed is put back", how: "whatever is not the pinned mark",
		file: guard, old: "case changed && wanted != g.pinned(opt):", new: "case (changed || true) && wanted != g.pinned(opt):", test: "TestPutBackToWhatWasJustBefore",
	},
	mutation{
		rule: "to set the pinned mark is no offence", how: "it is refused",
		file: guard, old: "case changed && wanted != g.pinned(opt):", new: "case changed:", test: "TestPutBackToWhatWasJustBefore",
	},
	mutation{
		rule: "ECN bits are not guarded", how: "they are",
		file: guard, old: "cp != FromTOS(before[opt].octet)", new: "m[opt].octet != before[opt].octet", test: "TestUDPKeepsECN",
	},
	mutation{
		rule: "both options are guarded", how: "IPV6_TCLASS alone",
		file: guard, old: "var failed error\n\tfor _, opt := range []option{ipTOS, trafficClass} {", new: "var failed error\n\tfor _, opt := range []option{trafficClass} {", test: "TestUnknownClosures",
	},
	mutation{
		rule: "closures run one at a time", how: "side by side",
		file: guard, old: "g.closure.Lock()\n\tdefer g.closure.Unlock()\n", new: "", test: "TestClosuresRunAlone",
	},
	mutation{
		rule: "a closure that panics is undone, too", how: "it is not",
		file: guard, old: "defer func() { refused = g.restore(fd, before) }() // also if f panics\n\tf()\n\treturn nil", new: "f()\n\treturn g.restore(fd, before)", test: "TestClosureThatPanics",
	},
	mutation{
		rule: "Control does not wait for room to write", how: "it runs as Write does",
		file: guard, old: "err := g.raw.Control(func(fd uintptr) {\n\t\trefused = watch(fd, func() { f(fd) })\n\t})",
		new:  "err := g.raw.Write(func(fd uintptr) bool {\n\t\trefused = watch(fd, func() { f(fd) })\n\t\treturn true\n\t})",
		test: "TestControlDoesNotWaitForWrite",
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
		rule: "a refusal names the mark that was wanted", how: "the one that is there",
		file: guard, old: "refused = g.midFlow(opt, wanted)", new: "refused = g.midFlow(opt, g.pinned(opt))", test: "TestUnknownClosures",
	},
	mutation{
		rule: "a closure does not run while the marks cannot be read", how: "it does",
		file: guard, old: "if err := g.unread(before); err != nil {", new: "if err := g.unread(before); err != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "what cannot be read after a closure is put back", how: "it stays",
		file: guard, old: "case blind && before.has(opt):", new: "case false && blind && before.has(opt):", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "a put-back that fails is told", how: "it is not",
		file: guard, old: "if failed != nil {", new: "if failed != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "an option of x/net's that passed the rehearsal is watched on the flow", how: "it is not",
		file: guard, old: "return g.opError(\"raw-control\", changes)\n\t\t}\n", new: "return g.opError(\"raw-control\", changes)\n\t\t}\n\t\treturn g.raw.Control(f)\n", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "nothing is rehearsed while the marks cannot be read", how: "it is",
		file: rehearse, old: "if err := p.unread(held); err != nil {", new: "if err := p.unread(held); err != nil && false {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "a refused answer is no missing option", how: "it is",
		file: pin, old: "return unsupported(err) && hasNone(p.raw, opt)", new: "return unsupported(err)", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "another family's option may fail as it likes", how: "it may not",
		file: pin, old: "!marks || host.blind != \"\" {", new: "host.blind != \"\" && marks {", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "an option of x/net's inside an unknown closure does not wait for it", how: "it does",
		file: guard, old: "if !g.closure.TryLock() {", new: "if g.closure.Lock(); false {", test: "TestXNetInsideAClosure",
	},
	mutation{
		rule: "a socket that was reset is not guarded where it refuses every option", how: "it is",
		file: guard, old: " && !(host.mutesReset && gone(err))", new: "", test: "TestGuardOfAResetConn",
	},
	mutation{
		rule: "macOS cannot mark an accepted IPv4-mapped conn, which is no reason to drop it", how: "it is",
		file: pin, old: "if opt == ipTOS && !host.tosOnIPv6 {", new: "if opt == ipTOS && !host.tosOnIPv6 && false {", test: "TestPinMappedOnDarwin",
	},
)
