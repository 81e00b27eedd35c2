package main

import (
	"context"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// An examiner makes the trials that a diagnosis needs, one after the other, so
// that they do not disturb one another.
type examiner struct {
	wanted dscp.CodePoint
	scheme string
	n      int
	try    func(context.Context, probe) trial
	tell   func(trial, progress) // may be nil

	trials []trial
	left   int // trials planned, for the progress
}

// A progress is how far an examination has come.
type progress struct{ done, planned int }

// enoughTrials is the least number on which anything is built: at one random
// failure in a hundred, three in a row are one in a million.
const enoughTrials = 3

// controlEvery is how many probes share one control.
const controlEvery = 3

// examine makes all trials. It ends early when the far end is gone or ctx is.
func (x *examiner) examine(ctx context.Context) []trial {
	probes := plan(x.wanted, x.scheme)
	x.left = x.n*len(probes) + x.n*len(probes)/controlEvery + 1
	if !x.alive(ctx) {
		return x.trials
	}
	for round := range x.n {
		// Each round begins elsewhere, so that no probe always follows the same.
		at := round * len(probes) / x.n
		order := slices.Concat(probes[at:], probes[:at])
		for i, p := range order {
			if i%controlEvery == controlEvery-1 && x.run(ctx, control).outcome != fine && !x.alive(ctx) {
				return x.trials
			}
			if !x.probe(ctx, p) {
				return x.trials
			}
		}
	}
	for _, p := range probes {
		if !x.settle(ctx, p) {
			return x.trials
		}
	}
	for _, p := range x.substitutes() {
		for range max(x.n, enoughTrials) {
			if !x.probe(ctx, p) {
				return x.trials
			}
		}
		if !x.settle(ctx, p) {
			return x.trials
		}
	}
	return x.trials
}

// alive tries unmarked connections until one is fine, so that one failure that
// came by chance does not end it all.
func (x *examiner) alive(ctx context.Context) bool {
	for range enoughTrials {
		if x.run(ctx, control).outcome == fine {
			return true
		}
		if ctx.Err() != nil {
			break
		}
	}
	return false
}

// probe makes one trial, and if it fails a control after it: where that fails
// too, the trial says nothing. It reports whether the far end is still there.
func (x *examiner) probe(ctx context.Context, p probe) bool {
	if x.run(ctx, p).outcome == fine {
		return ctx.Err() == nil
	}
	failed := len(x.trials) - 1
	if x.run(ctx, control).outcome == fine {
		return ctx.Err() == nil
	}
	x.trials[failed].void = true
	return x.alive(ctx)
}

// settle makes more trials of a probe that has failed, or was not tried enough,
// until it is clear whether it does so always, and how.
func (x *examiner) settle(ctx context.Context, p probe) bool {
	for range 4 * max(x.n, enoughTrials) { // void trials must not keep it going for ever
		t := tallyOf(x.trials, p)
		if t.unjudged() || t.failed() == 0 && t.ok >= min(x.n, enoughTrials) {
			return true
		}
		need := max(x.n, enoughTrials)
		if t.ok > 0 {
			need = 2 * need // it fails now and then: more of them tell how often
		}
		if t.total() >= need && (t.ok > 0 || t.fails[t.how()] >= enoughTrials) {
			return true
		}
		if !x.probe(ctx, p) {
			return false
		}
	}
	return true
}

// substitutes are changes to try instead of those that cannot be judged because
// the path does not carry the marks themselves.
func (x *examiner) substitutes() []probe {
	if x.scheme == quiet {
		return nil
	}
	var subs []probe
	usable := func(cp dscp.CodePoint) bool {
		t := tallyOf(x.trials, constant(cp))
		return t.ok > 0 && !t.harmed()
	}
	pick := func(marks ...dscp.CodePoint) {
		for _, cp := range marks {
			if usable(cp) {
				subs = append(subs, change(dscp.DF, cp))
				return
			}
		}
	}
	if !usable(x.wanted) {
		pick(dscp.CS1, dscp.EF, dscp.AF21)
	}
	if !usable(dscp.LowDelay) {
		pick(dscp.Throughput, dscp.LE)
	}
	return slices.DeleteFunc(subs, func(p probe) bool { return tallyOf(x.trials, p).total() > 0 })
}

func (x *examiner) run(ctx context.Context, p probe) trial {
	t := x.try(ctx, p)
	if ctx.Err() != nil {
		return trial{probe: p, outcome: odd, err: ctx.Err()} // interrupted: no trial
	}
	x.trials = append(x.trials, t)
	if x.tell != nil {
		x.tell(t, progress{len(x.trials), max(x.left, len(x.trials))})
	}
	return t
}
