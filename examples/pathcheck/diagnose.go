package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A diagnosis is what the trials of one target say about its path.
type diagnosis struct {
	state    state
	why      string    // in words, if the state is couldNotTell
	findings []finding // the harm
	unsure   []tally   // what fails too often for chance, and not always
	arrivals []arrival // how marks arrive, if the far end tells
	rewrites string    // what that is called
	notes    []string
	remedies remedies  // what may help
	tried    []attempt // which of it was tried
	cure     cure      // what does help
	trials   tally     // of all probes together
	controls tally
}

// A state is the short answer.
type state string

const (
	noHarm       state = "no harm seen"
	harm         state = "harm found"
	couldNotTell state = "could not tell"
)

// A finding is one thing that the path does, in words, and the probes that show
// it.
type finding struct {
	text  string
	shown []tally // the failures, by probe
	seen  []probe // those of which the far end says it
}

// What findings say. A caller that knows the words can look for them.
const (
	vmwareLike      = "resets a flow whose precedence changes: VMware-like"
	resetsAny       = "resets a flow on any change"
	silentAny       = "goes silent on any change"
	silentPrecedent = "goes silent when the precedence changes"
)

// diagnose reads the trials. It makes none, and knows nothing of sockets.
func diagnose(trials []trial, wanted dscp.CodePoint, scheme string) diagnosis {
	d := diagnosis{controls: tallyOf(trials, control)}
	tallies := tallyAll(trials)
	d.trials = sum(tallies)
	if dead := deadText(trials, d.controls); dead != "" {
		d.state, d.why = couldNotTell, dead
		return d
	}
	d.arrivals, d.rewrites = arrivalsOf(trials)
	onTheWay := changesOnTheWay(trials)
	d.findings = slices.Concat(constantFindings(tallies), changeFindings(tallies), onTheWayFindings(onTheWay))
	judged := 0
	for _, t := range tallies {
		switch {
		case t.unsure():
			d.unsure = append(d.unsure, t)
		case t.unjudged():
			d.notes = append(d.notes, fmt.Sprintf("%v could not be judged: %v", t.probe, t.err))
		default:
			judged++
		}
	}
	if scheme == quiet {
		d.notes = append(d.notes, "only the handshake was looked at: nothing is known to say on this port")
	}
	if note := blindNote(trials); note != "" {
		d.notes = append(d.notes, note)
	}
	switch {
	case len(d.findings) > 0:
		d.state = harm
		d.remedies = remediesFor(tallies, wanted, func(p probe) bool {
			return !slices.ContainsFunc(onTheWay, func(c wayChange) bool { return c.probe == p })
		})
	case len(d.unsure) > 0:
		d.state, d.why = couldNotTell, "some marks fail now and then"
	case judged == 0:
		d.state, d.why = couldNotTell, "no mark could be tried"
	default:
		d.state = noHarm
	}
	return d
}

// deadText tells what is wrong with the far end itself, or with the path for
// everybody; empty if unmarked connections work.
func deadText(trials []trial, controls tally) string {
	switch {
	case len(trials) == 0:
		return "interrupted"
	case controls.ok > 0 && aliveAtLast(trials):
		return ""
	case controls.ok > 0:
		return "the far end went away in the middle: " + controls.err.Error()
	}
	switch how := controls.how(); how.outcome {
	case lost:
		return "the host does not answer"
	case refused:
		return "nobody listens: the connection is refused"
	case unreachable:
		return "the host cannot be reached: " + controls.err.Error()
	case silent:
		return "the server accepts connections and says nothing"
	case cut:
		return "the server closes every connection: " + controls.err.Error()
	}
	return "unmarked connections fail: " + controls.err.Error()
}

// aliveAtLast reports whether the last few trials were not all failed controls,
// which is how an examination ends whose far end has gone.
func aliveAtLast(trials []trial) bool {
	last := trials[max(0, len(trials)-enoughTrials):]
	return len(last) < enoughTrials || slices.ContainsFunc(last, func(t trial) bool { return t.probe != control || t.outcome == fine })
}

// tallyAll counts each probe, in the order of their first trials, without the
// controls.
func tallyAll(trials []trial) []tally {
	var probes []probe
	for _, t := range trials {
		if t.probe != control {
			probes = append(probes, t.probe)
		}
	}
	var tallies []tally
	for _, p := range unique(probes) {
		tallies = append(tallies, tallyOf(trials, p))
	}
	return tallies
}

func sum(tallies []tally) tally {
	all := tally{fails: make(map[failure]int)}
	for _, t := range tallies {
		all.ok += t.ok
		for f, n := range t.fails {
			all.fails[f] += n
		}
	}
	return all
}

// constantFindings are about marks that the path does not carry, be they ever so
// constant.
func constantFindings(tallies []tally) []finding {
	texts := map[failure]string{
		{lost, connecting}:        "drops SYNs marked %s",
		{refused, connecting}:     "refuses SYNs marked %s",
		{unreachable, connecting}: "rejects SYNs marked %s",
		{silent, before}:          "loses data marked %s",
		{silent, after}:           "loses data marked %s",
		{cut, connecting}:         "resets connections marked %s",
		{cut, before}:             "resets connections marked %s",
		{cut, after}:              "resets connections marked %s",
	}
	var findings []finding
	for _, t := range tallies {
		if t.probe.changes || !t.harmed() {
			continue
		}
		text, ok := texts[t.how()]
		if !ok {
			text = "breaks connections marked %s"
		}
		i := slices.IndexFunc(findings, func(f finding) bool { return f.text == text })
		if i < 0 {
			i = len(findings)
			findings = append(findings, finding{text: text})
		}
		findings[i].shown = append(findings[i].shown, t)
	}
	for i, f := range findings {
		findings[i].text = fmt.Sprintf(f.text, names(f.shown))
	}
	return findings
}

func names(tallies []tally) string {
	var s []string
	for _, t := range tallies {
		s = append(s, t.probe.String())
	}
	return strings.Join(s, ", ")
}

// changeFindings are about changes in the middle of a flow. A change is judged
// only if the path carries both its marks; if it does not carry the new one,
// silence is no news. A reset is, unless the path answers the new mark with a
// reset wherever it sees it.
func changeFindings(tallies []tally) []finding {
	carried := func(cp dscp.CodePoint) bool {
		return !slices.ContainsFunc(tallies, func(t tally) bool { return t.probe == constant(cp) && t.harmed() })
	}
	answered := func(cp dscp.CodePoint) bool {
		return slices.ContainsFunc(tallies, func(t tally) bool {
			return t.probe == constant(cp) && t.harmed() && (t.how().outcome == refused || t.how().outcome == cut)
		})
	}
	var resets, silences, lives []tally
	for _, t := range tallies {
		if !t.probe.changes || t.unjudged() || !carried(t.probe.mark) {
			continue
		}
		switch {
		case !t.harmed():
			if t.ok > 0 && !t.unsure() {
				lives = append(lives, t)
			}
		case t.how().outcome == cut && !answered(t.probe.to):
			resets = append(resets, t)
		case carried(t.probe.to):
			silences = append(silences, t)
		}
	}
	same := func(t tally) bool { return t.probe.samePrecedence() }
	other := func(t tally) bool { return !t.probe.samePrecedence() }
	var findings []finding
	add := func(shown []tally, text string) {
		if len(shown) > 0 {
			findings = append(findings, finding{text: text, shown: shown})
		}
	}
	switch {
	case slices.ContainsFunc(lives, other):
		add(resets, "resets a flow that changes "+names(resets))
	case slices.ContainsFunc(resets, same):
		add(resets, resetsAny)
	default:
		add(resets, vmwareLike)
	}
	switch {
	case slices.ContainsFunc(lives, other):
		add(silences, "goes silent when a flow changes "+names(silences))
	case slices.ContainsFunc(lives, same):
		add(silences, silentPrecedent)
	default:
		add(silences, silentAny)
	}
	return findings
}
