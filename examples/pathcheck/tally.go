package main

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A tally counts the outcomes of one probe's trials.
type tally struct {
	probe probe
	ok    int
	fails map[failure]int
	err   error // of the last failure
}

// A failure is a kind of failure.
type failure struct {
	outcome outcome
	stage   stage
}

// tallyOf counts the trials of p that are not void.
func tallyOf(trials []trial, p probe) tally {
	t := tally{probe: p, fails: make(map[failure]int)}
	for _, tr := range trials {
		switch {
		case tr.probe != p || tr.void:
		case tr.outcome == fine:
			t.ok++
		default:
			t.fails[failure{tr.outcome, tr.stage}]++
			t.err = tr.err
		}
	}
	return t
}

func (t tally) failed() (n int) {
	for _, k := range t.fails {
		n += k
	}
	return n
}

func (t tally) total() int { return t.ok + t.failed() }

// harmed reports whether the path harms the probe: all trials fail, and there are enough
// of them.
func (t tally) harmed() bool {
	return t.ok == 0 && t.failed() >= enoughTrials && !t.unjudged()
}

// unsure reports whether the probe fails too often for chance, but is not harmed.
func (t tally) unsure() bool {
	return !t.unjudged() && !t.harmed() && 2*t.failed() >= t.total()
}

// unjudged reports whether the probe cannot be tested, since this machine cannot set the
// mark or the server ends the exchange too early.
func (t tally) unjudged() bool {
	for f := range t.fails {
		if f.outcome == unmarkable || f.outcome == unjudged {
			return true
		}
	}
	return false
}

// how returns the way in which most trials failed.
func (t tally) how() failure {
	return slices.MaxFunc(slices.SortedFunc(maps.Keys(t.fails), func(a, b failure) int {
		return cmp.Or(cmp.Compare(a.outcome, b.outcome), cmp.Compare(a.stage, b.stage))
	}), func(a, b failure) int { return cmp.Compare(t.fails[a], t.fails[b]) })
}

// byChance returns the probability that at least as many of all failures are in t if the
// mark makes no difference (Fisher's exact test, one-sided).
func byChance(t, controls tally) float64 {
	all, failed := t.total()+controls.total(), t.failed()+controls.failed()
	p := 0.0
	for k := t.failed(); k <= min(failed, t.total()); k++ {
		if failed-k > controls.total() {
			continue
		}
		p += math.Exp(logChoose(t.total(), k) + logChoose(controls.total(), failed-k) - logChoose(all, failed))
	}
	return min(p, 1)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
