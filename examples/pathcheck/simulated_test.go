package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A simulated path calls the lab's models as the lab does, and fails trials by chance.
// TestLab compares it with the lab.
type simulated struct {
	models []dscptest.Model
	rate   float64 // fraction of trials that fail by chance
	random *rand.Rand
	peer   bool
}

func (s *simulated) try(_ context.Context, p probe) trial {
	t := trial{probe: p, outcome: fine, stage: after}
	fail := func(o outcome, at stage) trial {
		t.outcome, t.stage, t.err = o, at, errors.New(string(o))
		return t
	}
	if s.random.Float64() < s.rate {
		return []trial{fail(lost, connecting), fail(silent, before), fail(cut, after), fail(refused, connecting)}[s.random.IntN(4)]
	}
	first := make([]dscp.CodePoint, len(s.models))
	for i, step := range []struct {
		cp dscp.CodePoint
		at stage
	}{{p.mark, connecting}, {p.mark, before}, {p.to, after}} {
		cp := step.cp
		if !p.changes {
			cp = p.mark
		}
		for m, model := range s.models {
			if i == 0 {
				first[m] = cp
			}
			v := model(dscptest.Segment{Network: "tcp4", Handshake: i == 0, DSCP: cp, First: first[m], Prev: first[m]})
			if as, ok := v.Mark(); ok {
				cp = as
			}
			switch {
			case v == dscptest.Reset:
				return fail(cut, step.at)
			case (v == dscptest.Drop || v == dscptest.Blackhole) && i == 0:
				return fail(lost, step.at)
			case v == dscptest.Drop || v == dscptest.Blackhole:
				return fail(silent, step.at)
			}
		}
		if i == 0 && s.peer {
			arrived := cp
			t.seen = &sighting{SYN: &arrived}
		}
	}
	return t
}

// tryDialer dials as a Dialer does: with the next mark of Fallback if one fails.
func (s *simulated) tryDialer(ctx context.Context, d dscp.Dialer) trial {
	var t trial
	for _, cp := range append([]dscp.CodePoint{d.DSCP}, d.Fallback...) {
		if d.NATSafe {
			cp = cp.NATSafe()
		}
		if t = s.try(ctx, constant(cp)); t.stage != connecting || t.outcome == fine {
			break
		}
	}
	return t
}

// simulate returns the diagnosis of a path with these models.
func simulate(seed uint64, rate float64, scheme string, models ...dscptest.Model) diagnosis {
	return simulateN(3, seed, rate, scheme, models...)
}

// simulateN is simulate with n trials of each way to mark.
func simulateN(n int, seed uint64, rate float64, scheme string, models ...dscptest.Model) diagnosis {
	s := &simulated{models: models, rate: rate, random: rand.New(rand.NewPCG(seed, 1)), peer: scheme == pathcheckPeer}
	x := &examiner{wanted: dscp.AF21, scheme: scheme, n: n, try: s.try}
	d := diagnose(x.examine(context.Background()), dscp.AF21, scheme)
	d.prescribe(context.Background(), s)
	return d
}

func (d diagnosis) texts() []string {
	texts := []string{}
	for _, f := range d.findings {
		texts = append(texts, f.text)
	}
	slices.Sort(texts)
	return texts
}

// runs is the number of paths of each kind, each with other random failures.
const runs = 200

// chance is the fraction of trials that fail by chance.
const chance = 0.01

// everything is the list of marks in the finding about a path that carries no mark.
const everything = "AF21, lowdelay, throughput, LE, EF, CS1"

// harmful are the models that do harm, with the findings for each alone.
var harmful = map[string]struct {
	model   dscptest.Model
	says    []string
	cure    cure
	changes bool // it reacts to changes
}{
	"VMware":                   {dscptest.VMware, []string{vmwareLike}, cure{"IPQoS 16", "dscp.Dialer{DSCP: dscp.AF21}"}, true},
	"FlowKey":                  {dscptest.FlowKey, []string{silentAny}, cure{"IPQoS none", "dscp.Dialer{DSCP: dscp.AF21}"}, true},
	"DropMarked(EF)":           {dscptest.DropMarked(dscp.EF), []string{"drops SYNs marked EF"}, cure{"IPQoS af21", "dscp.Dialer{DSCP: dscp.AF21}"}, false},
	"DropMarked(AF21)":         {dscptest.DropMarked(dscp.AF21), []string{"drops SYNs marked AF21"}, cure{"IPQoS 16", "dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}"}, false},
	"DropMarked()":             {dscptest.DropMarked(), []string{"drops SYNs marked " + everything}, cure{"IPQoS none", "dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}"}, false},
	"DropMarkedData(AF21)":     {dscptest.DropMarkedData(dscp.AF21), []string{"loses data marked AF21"}, cure{"IPQoS 16", "dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}"}, false},
	"DropMarkedData(lowdelay)": {dscptest.DropMarkedData(dscp.LowDelay), []string{"loses data marked lowdelay"}, cure{"IPQoS af21", "dscp.Dialer{DSCP: dscp.AF21}"}, false},
	"DropMarkedData()":         {dscptest.DropMarkedData(), []string{"loses data marked " + everything}, cure{"IPQoS none", "dscp.Dialer{}"}, false},
}

// rewriting are the models that do no harm.
var rewriting = map[string]dscptest.Model{
	"Bleach": dscptest.Bleach, "BleachToSPrecedence": dscptest.BleachToSPrecedence, "BleachSomeToS": dscptest.BleachSomeToS,
	"RemarkToS": dscptest.RemarkToS, "BleachLow": dscptest.BleachLow, "BleachSomeLow": dscptest.BleachSomeLow,
	"Remark": dscptest.Remark(dscp.CS1), "OneMark": dscptest.OneMark,
}

func TestCleanPath(t *testing.T) {
	for _, scheme := range []string{ssh2, plainHTTP, secureHTTP, quiet, pathcheckPeer} {
		for seed := range uint64(runs) {
			d := simulate(seed, chance, scheme)
			assert.Equal(t, noHarm, d.state, "%s, run %d: %v %v", scheme, seed, d.why, d.texts())
			assert.Empty(t, d.rewrites)
		}
	}
	for name, model := range rewriting {
		for seed := range uint64(runs) {
			d := simulate(seed, chance, ssh2, model)
			assert.Equal(t, noHarm, d.state, "%s, run %d: %v %v", name, seed, d.why, d.texts())
		}
	}
}

func TestEachModelIsFound(t *testing.T) {
	for name, h := range harmful {
		for seed := range uint64(runs) {
			d := simulate(seed, chance, ssh2, h.model)
			assert.Equal(t, harm, d.state, "%s, run %d: %v", name, seed, d.why)
			assert.Equal(t, h.says, d.texts(), "%s, run %d", name, seed)
			assert.Equal(t, h.cure, d.cure, "%s, run %d", name, seed)
		}
	}
}

// TestFewAndManyTrials claims that the findings do not depend on -n, and that one failure
// makes no finding even with -n 1.
func TestFewAndManyTrials(t *testing.T) {
	for _, n := range []int{1, 2, 5, 10} {
		for seed := range uint64(runs) {
			d := simulateN(n, seed, chance, ssh2)
			assert.Equal(t, noHarm, d.state, "clean, -n %d, run %d: %v %v", n, seed, d.why, d.texts())
			for name, h := range harmful {
				d := simulateN(n, seed, chance, ssh2, h.model)
				assert.Equal(t, h.says, d.texts(), "%s, -n %d, run %d", name, n, seed)
				assert.Equal(t, h.cure, d.cure, "%s, -n %d, run %d", name, n, seed)
			}
		}
	}
}

// TestPairsOfModelsAreFound claims that for two models there is a finding for each that changes
// the outcome of a probe, and no other finding.
func TestPairsOfModelsAreFound(t *testing.T) {
	outcomes := func(models ...dscptest.Model) (all []failure) {
		s := &simulated{models: models, random: rand.New(rand.NewPCG(1, 1))}
		for _, p := range append(plan(dscp.AF21, ssh2), change(dscp.DF, dscp.CS1), change(dscp.DF, dscp.EF), change(dscp.DF, dscp.Throughput)) {
			tr := s.try(t.Context(), p)
			all = append(all, failure{tr.outcome, tr.stage})
		}
		return all
	}
	for a, first := range harmful {
		for b, second := range harmful {
			if a == b {
				continue
			}
			both := outcomes(first.model, second.model)
			for seed := range uint64(runs) {
				d := simulate(seed, chance, ssh2, first.model, second.model)
				assert.Equal(t, harm, d.state, "%s before %s: %v", a, b, d.why)
				said := strings.Join(d.texts(), "\n")
				if first.changes && !slices.Equal(both, outcomes(second.model)) {
					assert.Contains(t, said, first.says[0], "%s before %s, run %d", a, b, seed)
				}
				if second.changes && !slices.Equal(both, outcomes(first.model)) {
					assert.Contains(t, said, second.says[0], "%s before %s, run %d", a, b, seed)
				}
				for _, words := range []string{vmwareLike, resetsAny, silentAny, silentPrecedent, "flow that changes"} {
					if slices.Contains(first.says, words) || slices.Contains(second.says, words) {
						continue
					}
					assert.NotContains(t, said, words, "%s before %s, run %d", a, b, seed)
				}
				for _, p := range plan(dscp.AF21, ssh2) {
					if p.changes {
						continue
					}
					i := slices.Index(plan(dscp.AF21, ssh2), p)
					words := map[outcome]string{lost: "drops SYNs marked ", silent: "loses data marked "}
					for o, text := range words {
						named := slices.ContainsFunc(d.findings, func(f finding) bool {
							return strings.HasPrefix(f.text, text) && slices.ContainsFunc(f.shown, func(t tally) bool { return t.probe == p })
						})
						assert.Equal(t, both[i].outcome == o, named, "%s before %s, run %d: %s%v", a, b, seed, text, p)
					}
				}
				if t.Failed() {
					return
				}
			}
		}
	}
}

// TestRewriterBeforeAModel claims that a rewriter before a model does not cause a finding
// for another model. It may hide the model.
func TestRewriterBeforeAModel(t *testing.T) {
	for rewriter, rewrites := range rewriting {
		for name, h := range harmful {
			d := simulate(1, 0, ssh2, rewrites, h.model)
			for _, text := range d.texts() {
				switch {
				case name == "FlowKey": // the rewriter may remove a change
					assert.Contains(t, []string{silentAny, silentPrecedent}, text, "%s before %s", rewriter, name)
				case h.changes:
					assert.Equal(t, h.says[0], text, "%s before %s", rewriter, name)
				default:
					assert.Regexp(t, "^(drops SYNs|loses data) marked ", text, "%s before %s", rewriter, name)
				}
			}
		}
	}
}

// TestRewritersNamed claims that each rewriter gets its name of RFC 9435, and no other.
func TestRewritersNamed(t *testing.T) {
	for name, want := range map[string]string{
		"Bleach": "Bleach-DSCP", "BleachToSPrecedence": "Bleach-ToS-Precedence", "BleachSomeToS": "Bleach-some-ToS",
		"RemarkToS": "Re-mark-ToS", "BleachLow": "Bleach-low", "BleachSomeLow": "Bleach-some-low",
		"Remark": "Re-mark-DSCP, to CS1", "OneMark": "",
	} {
		for seed := range uint64(runs) {
			d := simulate(seed, chance, pathcheckPeer, rewriting[name])
			assert.Equal(t, want, d.rewrites, "%s, run %d", name, seed)
			assert.Equal(t, noHarm, d.state)
		}
	}
}

// TestNoFindingsForDeadServer claims that there are no findings if the server stops answering.
func TestNoFindingsForDeadServer(t *testing.T) {
	dying := func(after int, how outcome, at stage) diagnosis {
		n := 0
		x := &examiner{wanted: dscp.AF21, scheme: ssh2, n: 3, try: func(_ context.Context, p probe) trial {
			if n++; n > after {
				return trial{probe: p, outcome: how, stage: at, err: errors.New("connection refused")}
			}
			return trial{probe: p, outcome: fine}
		}}
		return diagnose(x.examine(t.Context()), dscp.AF21, ssh2)
	}
	clean := &examiner{wanted: dscp.AF21, scheme: ssh2, n: 3, try: func(_ context.Context, p probe) trial {
		return trial{probe: p, outcome: fine}
	}}
	full := len(clean.examine(t.Context()))
	for after := range 2 * full {
		d := dying(after, refused, connecting)
		if d.state == noHarm {
			assert.GreaterOrEqual(t, after, full, "the server answered to the end")
			continue
		}
		assert.Equal(t, couldNotTell, d.state)
		assert.Empty(t, d.findings, "after %d trials", after)
		if after > 0 {
			assert.Contains(t, d.why, "stopped answering during the test")
		}
	}
	assert.Equal(t, "the host does not answer", dying(0, lost, connecting).why)
	assert.Equal(t, "the connection is refused", dying(0, refused, connecting).why)
	assert.Equal(t, "the server accepts connections but does not answer", dying(0, silent, before).why)
	assert.Contains(t, dying(0, cut, before).why, "closes every connection")
	assert.Contains(t, dying(0, unreachable, connecting).why, "cannot be reached")
	assert.Contains(t, dying(0, odd, before).why, "unmarked connections fail")
}

// TestFailsSometimes claims that a mark that fails in some trials is uncertain, and no
// finding.
func TestFailsSometimes(t *testing.T) {
	n := 0
	x := &examiner{wanted: dscp.AF21, scheme: ssh2, n: 3, try: func(_ context.Context, p probe) trial {
		if p == constant(dscp.EF) {
			if n++; n%3 != 0 {
				return trial{probe: p, outcome: lost, stage: connecting, err: errors.New("no answer")}
			}
		}
		return trial{probe: p, outcome: fine}
	}}
	d := diagnose(x.examine(t.Context()), dscp.AF21, ssh2)
	assert.Equal(t, couldNotTell, d.state)
	if assert.Len(t, d.unsure, 1) {
		assert.Equal(t, "EF", d.unsure[0].probe.String())
		assert.GreaterOrEqual(t, d.unsure[0].total(), 6, "more trials than the others")
	}
}

// TestTrialIsVoidIfControlFails claims that a failed trial does not count if the control after it
// fails, too.
func TestTrialIsVoidIfControlFails(t *testing.T) {
	n := 0
	x := &examiner{wanted: dscp.AF21, scheme: ssh2, n: 3, try: func(_ context.Context, p probe) trial {
		n++
		if n == 3 { // the second probe of the first round
			assert.NotEqual(t, control, p)
		}
		if n == 3 || n == 4 {
			return trial{probe: p, outcome: lost, stage: connecting, err: errors.New("no answer")}
		}
		return trial{probe: p, outcome: fine}
	}}
	d := diagnose(x.examine(t.Context()), dscp.AF21, ssh2)
	assert.Equal(t, noHarm, d.state)
	assert.Zero(t, d.trials.failed())
	assert.Equal(t, 1, d.controls.failed())
	assert.Equal(t, 3*len(plan(dscp.AF21, ssh2)), d.trials.total(), "the trial is repeated")
}
