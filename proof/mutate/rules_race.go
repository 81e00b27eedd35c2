package main

const (
	race      = "dialer/race.go"
	raceError = "dialer/race_error.go"
)

var raceRules = part("Race",
	mutation{
		rule: "the first attempt starts at once", how: "after the delay",
		file: race, old: "start() // even if", new: "time.Sleep(delay)\n\t\tstart() // even if", test: "TestRaceStarts",
	},
	mutation{
		rule: "a further one when delay has passed since the last start", how: "since the race began",
		file: race, old: "timer.Reset(delay)\n\t\t\tdue = timer.C", new: "due = timer.C", test: "TestRaceStarts",
	},
	mutation{
		rule: "a further one as soon as the last has failed", how: "it waits for the delay",
		file: race, old: "if r.attempt == started-1 && started < len(attempts) && !over(ctx) {", new: "if false {", test: "TestRaceStarts",
	},
	mutation{
		rule: "an older failure does not hurry the next", how: "any failure does",
		file: race, old: "if r.attempt == started-1 && started", new: "if started", test: "TestRaceStarts",
	},
	mutation{
		rule: "a negative delay waits for failures alone", how: "it is none",
		file: race, old: "if delay >= 0 {", new: "if delay >= -time.Hour {", test: "TestRaceStarts",
	},
	mutation{
		rule: "the first that succeeds wins, whichever it is", how: "the last started",
		file: race, old: "return r.conn, r.attempt, nil", new: "return r.conn, started - 1, nil", test: "TestRaceStarts",
	},
	mutation{
		rule: "the losers are cancelled", how: "their context lives on",
		file: race, old: "\tctx, cancel := context.WithCancel(ctx)\n\tdefer cancel()", new: "\tctx, _ = context.WithCancel(ctx)", test: "TestRaceCancelsAndClosesLosers",
	},
	mutation{
		rule: "what a loser still makes is closed", how: "it stays open",
		file: race, old: "if err == nil {\n\t\t\t\t\tconn.Close()\n\t\t\t\t}", new: "_ = conn", test: "TestRaceCancelsAndClosesLosers",
	},
	mutation{
		rule: "no attempt is left waiting for the race", how: "the losers hang",
		file: race, old: "defer close(returned)\n", new: "", test: "TestRaceCancelsAndClosesLosers",
	},
	mutation{
		rule: "when ctx ends no further attempt starts, after a failure", how: "one does",
		file: race, old: "started < len(attempts) && !over(ctx) {", new: "started < len(attempts) {", test: "TestRaceContext",
	},
	mutation{
		rule: "when ctx ends no further attempt starts, at the delay", how: "one does",
		file: race, old: "case <-due:\n\t\t\tif !over(ctx) {", new: "case <-due:\n\t\t\tif true {", test: "TestRaceContext",
	},
	mutation{
		rule: "when ctx ends Race waits for those that run", how: "it returns at once",
		file: race, old: "for running > 0 {", new: "for running > 0 && ctx.Err() == nil {", test: "TestRaceContext",
	},
	mutation{
		rule: "Stop ends the race at once", how: "it is one failure more",
		file: race, old: "return conn, -1, &RaceError{Errs: fates, stopped: true}\n", new: "", test: "TestRaceStop",
	},
	mutation{
		rule: "in the RaceError stands what Stop was given", how: "the wrapping",
		file: race, old: "fates[r.attempt] = stop.error", new: "fates[r.attempt] = stop", test: "TestRaceStop",
	},
	mutation{
		rule: "Stop(nil) is nil", how: "it is an error",
		file: race, old: "if err == nil {\n\t\treturn nil\n\t}\n\treturn &stopError{err}", new: "return &stopError{err}", test: "TestStopNil",
	},
	mutation{
		rule: "each attempt has its own error", how: "the last overwrites the first",
		file: race, old: "fates[r.attempt] = r.err", new: "fates[0] = r.err", test: "TestRaceAllFail",
	},
	mutation{
		rule: "no attempts are a RaceError", how: "a panic",
		file: race, old: "if len(attempts) > 0 {", new: "if true {", test: "TestRaceNothing",
	},
	mutation{
		rule: "Timeout: at least one timed out", how: "never",
		file: raceError, old: "if ok && t.Timeout() {", new: "if ok && t.Timeout() && false {", test: "TestRaceErrorTimeout",
	},
	mutation{
		rule: "Timeout: none said Stop", how: "that is not heeded",
		file: raceError, old: "if e.stopped {", new: "if false {", test: "TestRaceErrorTimeout",
	},
	mutation{
		rule: "errors.Is looks into all errors", how: "into the first",
		file: raceError, old: "return e.Errs }", new: "return e.Errs[:min(1, len(e.Errs))] }", test: "TestRaceAllFail",
	},
)
