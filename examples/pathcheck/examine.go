package main

import (
	"context"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// An examiner makes the trials for a diagnosis, one after the other, so that they do not
// affect each other.
type examiner struct {
	wanted dscp.CodePoint
	scheme string
	n      int
	try    func(context.Context, probe) trial
	tell   func(trial, progress) // called after each trial; may be nil

	trials []trial
	left   int // number of planned trials, for the progress
}

// A progress is the number of trials so far, and of all.
type progress struct{ done, planned int }

// enoughTrials is the least number of trials for a finding: if one trial in a hundred
// fails by chance, three in a row do so once in a million.
const enoughTrials = 3

// controlEvery is the number of probes for one control.
const controlEvery = 3

// examine makes all trials. It ends early if the server stops answering or ctx ends.
func (x *examiner) examine(ctx context.Context) []trial {
	probes := plan(x.wanted, x.scheme)
	x.left = x.n*len(probes) + x.n*len(probes)/controlEvery + 1
	if !x.alive(ctx) {
		return x.trials
	}
	for round := range x.n {
		// Each round begins with another probe.
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

// alive reports whether one of a few unmarked connections works.
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

// probe makes one trial and, if it fails, a control. If that fails, too, the trial is
// void. probe reports whether the server still answers.
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

// settle makes more trials of a probe that has failed or has too few trials, until it is
// clear whether it always fails, and how. It reports whether the server still answers.
func (x *examiner) settle(ctx context.Context, p probe) bool {
	for range 4 * max(x.n, enoughTrials) { // a limit, since void trials do not count
		t := tallyOf(x.trials, p)
		if t.unjudged() || t.failed() == 0 && t.ok >= min(x.n, enoughTrials) {
			return true
		}
		need := max(x.n, enoughTrials)
		if t.ok > 0 {
			need = 2 * need // it fails sometimes: more trials show how often
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

// substitutes returns changes to try instead of those whose marks the path does not
// carry.
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
		return trial{probe: p, outcome: odd, err: ctx.Err()} // interrupted: does not count
	}
	x.trials = append(x.trials, t)
	if x.tell != nil {
		x.tell(t, progress{len(x.trials), max(x.left, len(x.trials))})
	}
	return t
}
