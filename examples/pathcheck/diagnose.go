package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A diagnosis is the result of the trials of one target.
type diagnosis struct {
	state    state
	why      string    // the reason, if the state is couldNotTell
	findings []finding // the harm
	unsure   []tally   // probes that fail too often for chance, but not always
	arrivals []arrival // how marks arrive, if the server reports it
	rewrites string    // the name of RFC 9435 for that
	notes    []string
	remedies remedies  // settings that may work
	tried    []attempt // the settings that were tried
	cure     cure      // the settings that work
	trials   tally     // all probes
	controls tally
}

// A state is the short result.
type state string

const (
	noHarm       state = "no harm seen"
	harm         state = "harm found"
	couldNotTell state = "could not tell"
)

// A finding describes one harm that the path does, and has the probes that show it.
type finding struct {
	text  string
	shown []tally // the failures, by probe
	seen  []probe // the probes for which the server reports the harm
}

// The texts of findings about changes. JSON output has them, too.
const (
	vmwareLike      = "resets a flow whose IP precedence changes, like VMware's NAT"
	resetsAny       = "resets a flow on any change of its mark"
	silentAny       = "silently drops a flow after any change of its mark"
	silentPrecedent = "silently drops a flow after a change of its IP precedence"
)

// diagnose returns the diagnosis for the trials.
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
		d.notes = append(d.notes, "only the TCP handshake was tested, since the protocol of this port is not known")
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
		d.state, d.why = couldNotTell, "some marks fail sometimes"
	case judged == 0:
		d.state, d.why = couldNotTell, "no mark could be tried"
	default:
		d.state = noHarm
	}
	return d
}

// deadText returns why unmarked connections fail, too; empty if they work.
func deadText(trials []trial, controls tally) string {
	switch {
	case len(trials) == 0:
		return "interrupted"
	case controls.ok > 0 && aliveAtLast(trials):
		return ""
	case controls.ok > 0:
		return "the server stopped answering during the test: " + controls.err.Error()
	}
	switch how := controls.how(); how.outcome {
	case lost:
		return "the host does not answer"
	case refused:
		return "the connection is refused"
	case unreachable:
		return "the host cannot be reached: " + controls.err.Error()
	case silent:
		return "the server accepts connections but does not answer"
	case cut:
		return "the server closes every connection: " + controls.err.Error()
	}
	return "unmarked connections fail: " + controls.err.Error()
}

// aliveAtLast reports whether the server answered to the end. If it did not, the last
// trials are failed controls.
func aliveAtLast(trials []trial) bool {
	last := trials[max(0, len(trials)-enoughTrials):]
	return len(last) < enoughTrials || slices.ContainsFunc(last, func(t trial) bool { return t.probe != control || t.outcome == fine })
}

// tallyAll returns the tallies of all probes except the control, in the order of their
// first trials.
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

// constantFindings returns the findings about marks that the path does not carry even
// if they do not change.
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

// changeFindings returns the findings about changes in the middle of a flow. A change
// counts only if the path carries its first mark. If the path does not carry its second
// mark, silence does not count; a reset does, unless the path also resets or refuses
// flows that have only the second mark.
func changeFindings(tallies []tally) []finding {
	carried := func(cp dscp.CodePoint) bool {
		return !slices.ContainsFunc(tallies, func(t tally) bool { return t.probe == constant(cp) && t.harmed() })
	}
	answered := func(cp dscp.CodePoint) bool {
		return slices.ContainsFunc(tallies, func(t tally) bool {
			return t.probe == constant(cp) && t.harmed() && (t.how().outcome == refused || t.how().outcome == cut)
		})
	}
	var resets, silences, intact []tally
	for _, t := range tallies {
		if !t.probe.changes || t.unjudged() || !carried(t.probe.mark) {
			continue
		}
		switch {
		case !t.harmed():
			if t.ok > 0 && !t.unsure() {
				intact = append(intact, t)
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
	case slices.ContainsFunc(intact, other):
		add(resets, "resets a flow that changes "+names(resets))
	case slices.ContainsFunc(resets, same):
		add(resets, resetsAny)
	default:
		add(resets, vmwareLike)
	}
	switch {
	case slices.ContainsFunc(intact, other):
		add(silences, "silently drops a flow that changes "+names(silences))
	case slices.ContainsFunc(intact, same):
		add(silences, silentPrecedent)
	default:
		add(silences, silentAny)
	}
	return findings
}
