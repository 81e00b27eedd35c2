package main

const (
	fallback   = "dscp/fallback.go"
	errorsUnix = "dscp/errors_unix.go"
)

var fallbackRules = part("Fallback and FallbackDelay",
	mutation{
		rule: "a negative FallbackDelay is an error", how: "it waits for failures alone",
		file: fallback, old: "if d.FallbackDelay < 0 {", new: "if d.FallbackDelay < -time.Hour {", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "the default delay leaves time for one retransmission of a SYN", how: "it is half a second",
		file: fallback, old: "1500 * time.Millisecond", new: "500 * time.Millisecond", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "FallbackDelay is not net.Dialer's", how: "net.Dialer's field wins",
		file: fallback, old: "delay: cmp.Or(f.FallbackDelay, defaultFallbackDelay),",
		new:  "delay: func() time.Duration {\n\t\t\tif f.NetDialer != nil {\n\t\t\t\treturn cmp.Or(f.NetDialer.FallbackDelay, defaultFallbackDelay)\n\t\t\t}\n\t\t\treturn cmp.Or(f.FallbackDelay, defaultFallbackDelay)\n\t\t}(),",
		test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a bad mark is refused before there is a socket", how: "when its turn comes",
		file: fallback, old: "for _, cp := range d.Fallback {\n\t\tif err", new: "for _, cp := range d.Fallback[:0] {\n\t\tif err", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "Fallback is for TCP", how: "other networks use it, too",
		file: fallback, old: ` || !strings.HasPrefix(network, "tcp")`, new: ` || strings.HasPrefix(network, "tap")`, test: "TestFallbackMarks",
	},
	mutation{
		rule: "Fallback has no effect where nothing is marked", how: "all marks are tried there",
		file: fallback, old: "if tos.Host.Unmarkable != \"\" {\n\t\treturn nil //", new: "if tos.Host.Unmarkable == \"?\" {\n\t\treturn nil //", test: "TestDialOnAnUnmarkableSystem",
	},
	mutation{
		rule: "repeated marks are skipped", how: "they are tried again",
		file: fallback, old: "!slices.Contains(marks, cp) {", new: "true {", test: "TestFallbackMarks",
	},
	mutation{
		rule: "DSCP is tried first", how: "Fallback is",
		file: fallback, old: "marks = append(marks, cp)", new: "marks = append([]CodePoint{cp}, marks...)", test: "TestFallbackMarks",
	},
	mutation{
		rule: "NATSafe maps every mark of Fallback", how: "it maps the first alone",
		file: fallback, old: "newMarking(cp, d.NATSafe, false).cp", new: "newMarking(cp, false, false).cp", test: "TestFallbackMarks",
	},
	mutation{
		rule: "the next mark waits for FallbackDelay", how: "all start at once",
		file: fallback, old: "timer.Reset(a.delay)", new: "timer.Reset(0)", test: "TestAttemptsStart",
	},
	mutation{
		rule: "the delay begins when the name is looked up", how: "when the lookup begins",
		file: fallback, old: "running++\n\t\ttimer.Stop()", new: "running++\n\t\ttimer.Reset(a.delay)", test: "TestAttemptsStart",
	},
	mutation{
		rule: "at the newest attempt's socket", how: "at an older one's, too",
		file: fallback, old: "if i == newest {", new: "if i >= 0 {", test: "TestAttemptsStart",
	},
	mutation{
		rule: "a failure that the mark may have caused starts the next attempt at once", how: "after the delay",
		file: fallback, old: `start("failure")`, new: "timer.Reset(a.delay)", test: "TestAttemptsStart",
	},
	mutation{
		rule: "the failure of an older attempt does not start the next", how: "any failure does",
		file: fallback, old: "if r.attempt == newest && more() {", new: "if more() {", test: "TestAttemptsStart",
	},
	mutation{
		rule: "the others are cancelled when one has connected", how: "their context is not cancelled",
		file: fallback, old: "ctx, cancel := context.WithCancel(ctx)\n\tdefer cancel()\n\ttype", new: "ctx, _ = context.WithCancel(ctx)\n\ttype", test: "TestAttemptsCancelAndDiscardLosers",
	},
	mutation{
		rule: "a connection that comes up too late is closed", how: "it stays open",
		file: fallback, old: "a.discard(o)", new: "_ = o", test: "TestAttemptsCancelAndDiscardLosers",
	},
	mutation{
		rule: "no attempt is left waiting", how: "the others hang",
		file: fallback, old: "defer close(returned)\n", new: "", test: "TestAttemptsCancelAndDiscardLosers",
	},
	mutation{
		rule: "when the context ends no further attempt starts", how: "one does",
		file: fallback, old: "return newest < a.count-1 && !over(ctx) }", new: "return newest < a.count-1 }", test: "TestAttemptsContext",
	},
	mutation{
		rule: "those that run are waited for", how: "it returns at once",
		file: fallback, old: "for running > 0 {", new: "for running > 0 && ctx.Err() == nil {", test: "TestAttemptsContext",
	},
	mutation{
		rule: "each attempt has its own error", how: "the last overwrites the first",
		file: fallback, old: "errs[r.attempt] = r.err", new: "errs[0] = r.err", test: "TestAttemptsAllFail",
	},
	mutation{
		rule: "a final error of the first attempt ends the dial", how: "it is one failure more",
		file: fallback, old: "if r.err == nil || r.final && r.attempt == 0 {", new: "if r.err == nil {", test: "TestAttemptsFinalError",
	},
	mutation{
		rule: "one of a later attempt does not", how: "it does",
		file: fallback, old: "r.final && r.attempt == 0 {", new: "r.final {", test: "TestAttemptsFinalError",
	},
	mutation{
		rule: "errors.Is looks into all errors", how: "into the first",
		file: fallback, old: "Unwrap() []error { return e.errs }", new: "Unwrap() []error { return e.errs[:1] }", test: "TestAttemptsError",
	},
	mutation{
		rule: "the error is a timeout if one attempt timed out", how: "never",
		file: fallback, old: "return slices.ContainsFunc(e.errs, isTimeout) }", new: "return slices.ContainsFunc(e.errs[:0], isTimeout) }", test: "TestAttemptsError",
	},
	mutation{
		rule: "a timeout starts the next attempt", how: "it ends the dial",
		file: fallback, old: "return isTimeout(err) || errors", new: "return false && isTimeout(err) || errors", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "a refused connection starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.ECONNREFUSED, //", new: "//", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "a reset connection starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.ECONNRESET,\n", new: "", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "an unreachable host starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.EHOSTUNREACH,\n", new: "", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "an unreachable network starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.ENETUNREACH,\n", new: "", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "an unreachable protocol starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.ENOPROTOOPT, //", new: "//", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "EPERM of a packet filter starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.EPERM,       //", new: "//", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "EACCES of a route starts the next attempt", how: "it ends the dial",
		file: errorsUnix, old: "syscall.EACCES,      //", new: "//", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "an error of the caller's own hook ends the dial", how: "its errno counts as the network's",
		file: errorsUnix, old: `!ok || call.Syscall != "connect"`, new: `!ok`, test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "if every mark is refused the error is net's own", how: "a list of all marks",
		file: fallback, old: "if !slices.ContainsFunc(errs, func(err error) bool { return !refused(err) }) {", new: "if false {", test: "TestFallbackConnectionRefused",
	},
	mutation{
		rule: "a name that does not resolve ends the dial", how: "it starts the next attempt",
		file: fallback, old: "return false // no packet", new: "return true // no packet", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "a socket that cannot be marked ends the dial", how: "it starts the next attempt",
		file: fallback, old: "return false // the socket refused", new: "return true // the socket refused", test: "TestErrorTriggersFallback",
	},
	mutation{
		rule: "NetDialer's Timeout holds for all marks together", how: "for each alone",
		file: fallback, old: "if nd.Timeout != 0 {", new: "if nd.Timeout < 0 {", test: "TestFallbackBound",
	},
	mutation{
		rule: "NetDialer's Deadline holds for all marks together", how: "it is forgotten",
		file: fallback, old: "deadline := nd.Deadline\n", new: "var deadline time.Time\n", test: "TestFallbackBound",
	},
	mutation{
		rule: "the earlier of Timeout and Deadline counts", how: "the later",
		file: fallback, old: "t.Before(deadline)", new: "t.After(deadline)", test: "TestFallbackBound",
	},
	mutation{
		rule: "a fixed local port allows one connection at a time", how: "two share it",
		file: fallback, old: "alone: f.fixedPort,", new: "alone: false,", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "an address without a port is no fixed local port", how: "it counts as one",
		file: fallback, old: "ok && t != nil && t.Port != 0", new: "ok && t != nil", test: "TestHasPort",
	},
	mutation{
		rule: "with a fixed port each gives up after FallbackDelay", how: "it keeps the port",
		file: fallback, old: "cancelNewest(errOverdue) // its failure starts the next", new: "if false {\n\t\t\t\t\tcancelNewest(errOverdue)\n\t\t\t\t}", test: "TestAttemptsStart",
	},
	mutation{
		rule: "an attempt that gave up counts as a timeout", how: "as a cancelled dial",
		file: fallback, old: "if context.Cause(ctx) == errOverdue &&", new: "if false &&", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "the connections that came up too late are closed", how: "they stay open",
		file: fallback, old: "late.conn.Close()", new: "_ = late.conn", test: "TestTraceOfALateConnection",
	},
	mutation{
		rule: "each mark has its own pinned connection", how: "the second mark is that of the first",
		file: fallback, old: "m := marking{cp, f.AllowUnmarked}", new: "m := marking{f.marks[0], f.AllowUnmarked}", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "the error of each mark names it", how: "bare errors",
		file: fallback, old: "marked[i] = &dialError{order[i], err}", new: "marked[i] = err", test: "TestFallbackFailure",
	},
	mutation{
		rule: "an error that all marks share is returned as without Fallback", how: "as a list",
		file: fallback, old: "return nil, withCodePoint(o.err, order[0])", new: "return nil, f.failure(order[:1], []error{o.err})", test: "TestFallbackOwnHookFails",
	},
	mutation{
		rule: "Fallback has no part in Marked", how: "its delay becomes net.Dialer's",
		file: dialerGo, old: "return d.marked(d.marking().cp)", new: "nd := d.marked(d.marking().cp)\n\tnd.FallbackDelay = d.FallbackDelay\n\treturn nd", test: "TestFallbackNotInMarked",
	},
	mutation{
		rule: "TCP Fast Open is off, which would report a connection before its SYN", how: "it is on",
		file: fallback, old: "m.dialHook(), fastOpenOff, func", new: "m.dialHook(), func", test: "TestFallbackWithFastOpen",
	},
	mutation{
		rule: "Trace is called for connections that came up too late", how: "it is not",
		file: fallback, old: "tracer(f.Trace).tell(late.event, nil, errLost)\n", new: "", test: "TestTraceOfALateConnection",
	},
)
