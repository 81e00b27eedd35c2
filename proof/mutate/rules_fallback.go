package main

const (
	ladder = "dscp/ladder.go"
	errno  = "dscp/errno_unix.go"
	memory = "dscp/memory.go"
)

var fallbackRules = part("Fallback and FallbackDelay",
	mutation{
		rule: "a negative FallbackDelay is an error", how: "it waits for failures alone",
		file: ladder, old: "if d.FallbackDelay < 0 {", new: "if d.FallbackDelay < -time.Hour {", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "the default lets a lost SYN be sent again", how: "it is half a second",
		file: ladder, old: "1500 * time.Millisecond", new: "500 * time.Millisecond", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "FallbackDelay is not net.Dialer's", how: "net.Dialer's field wins",
		file: ladder, old: "if c.delay = c.FallbackDelay; c.delay == 0 {",
		new:  "if c.NetDialer != nil {\n\t\tc.delay = c.NetDialer.FallbackDelay\n\t} else {\n\t\tc.delay = c.FallbackDelay\n\t}\n\tif c.delay == 0 {",
		test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a bad rung is refused before there is a socket", how: "when its turn comes",
		file: ladder, old: "for _, cp := range d.Fallback {\n\t\tif err", new: "for _, cp := range d.Fallback[:0] {\n\t\tif err", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "Fallback is for TCP", how: "other networks climb, too",
		file: ladder, old: ` || !strings.HasPrefix(network, "tcp")`, new: ` || strings.HasPrefix(network, "tap")`, test: "TestLadderRungs",
	},
	mutation{
		rule: "Fallback has no effect where nothing is marked", how: "all rungs are tried there",
		file: ladder, old: "if host.blind != \"\" {\n\t\treturn nil //", new: "if host.blind == host.os {\n\t\treturn nil //", test: "TestDialerOnBlindHost",
	},
	mutation{
		rule: "repeated marks are skipped", how: "they are tried again",
		file: ladder, old: "!slices.Contains(rungs, cp) {", new: "true {", test: "TestLadderRungs",
	},
	mutation{
		rule: "DSCP is tried first", how: "Fallback is",
		file: ladder, old: "rungs = append(rungs, cp)", new: "rungs = append([]CodePoint{cp}, rungs...)", test: "TestLadderRungs",
	},
	mutation{
		rule: "the next mark waits for FallbackDelay", how: "all start at once",
		file: ladder, old: "between := c.delay", new: "between := time.Duration(0)\n\tc.delay = 0", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "the delay begins when the name is looked up", how: "when the lookup begins",
		file: ladder, old: "c.overdue(ctx, s)\n\tselect", new: "select", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a failure that the mark may have caused leads on at once", how: "after the delay",
		file: ladder, old: "case <-s.failed:\n\tcase <-ctx.Done():\n\t}\n\treturn false", new: "case <-ctx.Done():\n\t}\n\treturn false", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a timeout leads on", how: "it ends the dial",
		file: ladder, old: "ok && t.Timeout() || errors", new: "ok && false && t.Timeout() || errors", test: "TestEarnsRung",
	},
	mutation{
		rule: "an unreachable host leads on", how: "it ends the dial",
		file: errno, old: "syscall.EHOSTUNREACH,\n", new: "", test: "TestEarnsRung",
	},
	mutation{
		rule: "an unreachable network leads on", how: "it ends the dial",
		file: errno, old: "syscall.ENETUNREACH,\n", new: "", test: "TestEarnsRung",
	},
	mutation{
		rule: "EPERM of a packet filter leads on", how: "it ends the dial",
		file: errno, old: "syscall.EPERM,  //", new: "//", test: "TestEarnsRung",
	},
	mutation{
		rule: "EACCES of a route leads on", how: "it ends the dial",
		file: errno, old: "syscall.EACCES, //", new: "//", test: "TestEarnsRung",
	},
	mutation{
		rule: "an error of the caller's own hook ends the dial", how: "its errno counts as the network's",
		file: errno, old: `!ok || call.Syscall != "connect"`, new: `!ok`, test: "TestEarnsRung",
	},
	mutation{
		rule: "a refused connection ends the dial", how: "it leads on",
		file: ladder, old: "if refused(err) || i == 0 && !earnsRung(err) {", new: "if false {", test: "TestFallbackConnectionRefused",
	},
	mutation{
		rule: "a refusal ends the dial on later rungs too", how: "on the first alone",
		file: ladder, old: "if refused(err) || i == 0", new: "if i == 0", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a name that does not resolve ends the dial", how: "it leads on",
		file: ladder, old: "return false // no packet", new: "return true // no packet", test: "TestEarnsRung",
	},
	mutation{
		rule: "a socket that cannot be marked ends the dial", how: "it leads on",
		file: ladder, old: "return false // the socket refused", new: "return true // the socket refused", test: "TestEarnsRung",
	},
	mutation{
		rule: "NetDialer's Timeout holds for all marks together", how: "for each alone",
		file: ladder, old: "if nd.Timeout != 0 {", new: "if nd.Timeout < 0 {", test: "TestLadderBound",
	},
	mutation{
		rule: "NetDialer's Deadline holds for all marks together", how: "it is forgotten",
		file: ladder, old: "deadline := nd.Deadline\n", new: "var deadline time.Time\n", test: "TestLadderBound",
	},
	mutation{
		rule: "the earlier of Timeout and Deadline counts", how: "the later",
		file: ladder, old: "t.Before(deadline)", new: "t.After(deadline)", test: "TestLadderBound",
	},
	mutation{
		rule: "a fixed local port allows one connection at a time", how: "two share it",
		file: ladder, old: "c.alone = hasPort(c.local); c.alone", new: "c.alone = false; c.alone", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "an address without a port is no fixed local port", how: "it counts as one",
		file: ladder, old: "ok && t != nil && t.Port != 0", new: "ok && t != nil", test: "TestHasPort",
	},
	mutation{
		rule: "with a fixed port each gives up after FallbackDelay", how: "it keeps the port",
		file: ladder, old: "late.Store(true)\n\t\t\t\tgiveUp()", new: "late.Store(true)", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "the connections that came up too late are closed", how: "they stay open",
		file: ladder, old: "return c.Conn.Close()", new: "return nil", test: "TestTraceOfALateConnection",
	},
	mutation{
		rule: "each mark has a connection of its own, pinned", how: "the second mark is that of the first",
		file: ladder, old: "m := marking{cp, c.AllowUnmarked}", new: "m := marking{c.order[0], c.AllowUnmarked}", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a MarkError for each mark that was tried", how: "bare errors",
		file: ladder, old: "race.Errs[i] = &MarkError{CodePoint: rungs[i], Err: err}", new: "race.Errs[i] = err", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "what the first mark finds out for all comes as without Fallback", how: "as a list of all rungs",
		file: ladder, old: "ok && !earnsRung(op) {", new: "ok && false {\n", test: "TestFallbackConnectionRefused",
	},
	mutation{
		rule: "Fallback has no part in Marked", how: "its delay becomes net.Dialer's",
		file: dialerGo, old: "return d.marked(d.marking().cp)", new: "nd := d.marked(d.marking().cp)\n\tnd.FallbackDelay = d.FallbackDelay\n\treturn nd", test: "TestFallbackNotInMarked",
	},
	mutation{
		rule: "Trace is told of those that came up too late", how: "it is not",
		file: ladder, old: "c.trace.tell(c.event, nil, errLost)\n", new: "", test: "TestTraceOfALateConnection",
	},
)

var memoryRules = part("Memory",
	mutation{
		rule: "the next dial starts with the mark that came up", how: "with the first",
		file: ladder, old: "c.order, c.why = startingWith(works, c.rungs)", new: "c.order, c.why = c.rungs", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a mark that is no rung any more is not tried", how: "it is",
		file: ladder, old: "ok && slices.Contains(c.rungs, works) {", new: "ok {", test: "TestMemoryOfAnotherLadder",
	},
	mutation{
		rule: "what is remembered is not prolonged", how: "each use renews it",
		file: ladder, old: "c.Memory != nil && i > 0 {", new: "c.Memory != nil {", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "another first mark has memories of its own", how: "all marks share them",
		file: ladder, old: "destination{c.network, c.address, c.rungs[0]}", new: "destination{c.network, c.address, DF}", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "it is forgotten after TTL", how: "recall does not look at the time",
		file: memory, old: "ok && time.Now().Before(e.Expires)", new: "ok", test: "TestMemoryForgets",
	},
	mutation{
		rule: "zero TTL means ten minutes", how: "an hour",
		file: memory, old: "10 * time.Minute", new: "time.Hour", test: "TestMemoryForgets",
	},
	mutation{
		rule: "no more than Limit are kept", how: "one more is",
		file: memory, old: "byTime[:len(byTime)-limit]", new: "byTime[:len(byTime)-limit-1]", test: "TestMemoryLimit",
	},
	mutation{
		rule: "the one with the least time left gives way", how: "the new one does",
		file: memory, old: "return a.Expires.Compare(b.Expires)", new: "return b.Expires.Compare(a.Expires)", test: "TestMemoryLimit",
	},
	mutation{
		rule: "the first mark coming up is learnt by forgetting", how: "it is kept as an entry",
		file: memory, old: "if works == d.first {", new: "if works > maxCodePoint {", test: "TestMemoryLearnsTheFirstMarkByForgetting",
	},
	mutation{
		rule: "Clear forgets everything", how: "nothing",
		file: memory, old: "func (m *Memory) Clear() {\n\tm.mu.Lock()\n\tdefer m.mu.Unlock()\n\tclear(m.known)", new: "func (m *Memory) Clear() {\n\tm.mu.Lock()\n\tdefer m.mu.Unlock()", test: "TestMemoryTellsDestinationsApart",
	},
	mutation{
		rule: "what is read in is held to TTL", how: "it brings its own time",
		file: memory, old: "if e.Expires.After(latest) {", new: "if false {", test: "TestMemoryJSON",
	},
	mutation{
		rule: "what cannot be read changes nothing", how: "it clears first",
		file: memory, old: "var entries []MemoryEntry\n", new: "m.Clear()\n\tvar entries []MemoryEntry\n", test: "TestMemoryJSON",
	},
)
