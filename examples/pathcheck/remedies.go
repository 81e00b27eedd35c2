package main

import (
	"context"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// remedies are settings that may work, the best first. prescribe tries each on the path:
// the trials of single marks do not predict a Dialer, which does more than set a mark.
type remedies struct {
	dialers []dscp.Dialer
	ssh     []sshLine
}

// An sshLine is a line for ssh_config, and the ways in which versions of OpenSSH mark
// connections with it.
type sshLine struct {
	text   string
	probes []probe
}

// An attempt is a remedy that was tried. The text report does not show those that failed,
// since a reader could take them for advice.
type attempt struct {
	Advice  string  `json:"advice"`
	Outcome outcome `json:"outcome"`
	Error   string  `json:"error,omitempty"`
}

// A path makes trials.
type path interface {
	try(context.Context, probe) trial
	tryDialer(context.Context, dscp.Dialer) trial
}

// remediesFor returns the remedies for a path with these tallies. arrives reports whether
// the path leaves the mark of a probe unchanged within the flow.
func remediesFor(tallies []tally, wanted dscp.CodePoint, arrives func(probe) bool) remedies {
	works := func(p probe) bool {
		return arrives(p) && slices.ContainsFunc(tallies, func(t tally) bool { return t.probe == p && t.ok > 0 && !t.unsure() })
	}
	lostSYN := slices.ContainsFunc(tallies, func(t tally) bool {
		return t.probe == constant(wanted) && t.harmed() && t.how().stage == connecting
	})
	return remedies{dialerRemedies(works, lostSYN, wanted), sshRemedies(works, wanted)}
}

// dialerRemedies returns Dialers. None changes a mark within a flow.
func dialerRemedies(works func(probe) bool, lostSYN bool, wanted dscp.CodePoint) []dscp.Dialer {
	var all []dscp.Dialer
	safe := works(constant(wanted.NATSafe()))
	if works(constant(wanted)) {
		all = append(all, dscp.Dialer{DSCP: wanted})
	}
	if lostSYN { // on other networks the mark may work; Fallback needs a failure of the SYN
		fallback := []dscp.CodePoint{dscp.DF}
		if safe {
			fallback = []dscp.CodePoint{wanted.NATSafe(), dscp.DF}
		}
		all = append(all, dscp.Dialer{DSCP: wanted, Fallback: fallback})
	}
	if safe {
		all = append(all, dscp.Dialer{DSCP: wanted, NATSafe: true})
	}
	return append(all, dscp.Dialer{})
}

// sshRemedies returns lines for ssh_config, each with one mark for both classes. OpenSSH
// up to 8.4, and sshd, set the mark after the connection is established, so the change
// from DF to the mark must work, too.
func sshRemedies(works func(probe) bool, wanted dscp.CodePoint) []sshLine {
	var all []sshLine
	for _, cp := range []dscp.CodePoint{wanted, wanted.NATSafe(), dscp.LowDelay, dscp.Throughput} {
		line := sshLine{"IPQoS " + sshName(cp), []probe{constant(cp), change(dscp.DF, cp)}}
		if works(line.probes[0]) && works(line.probes[1]) &&
			!slices.ContainsFunc(all, func(l sshLine) bool { return l.text == line.text }) {
			all = append(all, line)
		}
	}
	return append(all, sshLine{"IPQoS none", []probe{control}})
}

// prescribe tries the remedies one after the other, until one of each kind works. These
// are the cure.
func (d *diagnosis) prescribe(ctx context.Context, p path) {
	if d.state != harm {
		return
	}
	for _, remedy := range d.remedies.dialers {
		if d.tryOut(ctx, literal(remedy), func() trial { return p.tryDialer(ctx, remedy) }) {
			d.cure.dialer = literal(remedy)
			break
		}
	}
	for _, line := range d.remedies.ssh {
		var tries []func() trial
		for _, pr := range line.probes {
			tries = append(tries, func() trial { return p.try(ctx, pr) })
		}
		if d.tryOut(ctx, line.text, tries...) {
			d.cure.ssh = line.text
			break
		}
	}
	if d.cure.dialer == "" {
		d.notes = append(d.notes, "no dscp.Dialer works on this path")
	}
	if d.cure.ssh == "" {
		d.notes = append(d.notes, "no line for ssh_config works on this path")
	}
}

// tryOut reports whether all connections of a remedy work. It repeats one that fails, up
// to enoughTrials times, since a connection may fail by chance.
func (d *diagnosis) tryOut(ctx context.Context, advice string, connections ...func() trial) bool {
	a := attempt{Advice: advice, Outcome: fine}
	for _, connect := range connections {
		for range enoughTrials {
			t := connect()
			if a.Outcome, a.Error = t.verdict(); a.Outcome == fine || ctx.Err() != nil {
				break
			}
		}
		if a.Outcome != fine {
			break
		}
	}
	d.tried = append(d.tried, a)
	return a.Outcome == fine
}

// verdict returns the outcome of a trial of a remedy. The remedy also fails if the path
// changes its mark within the flow.
func (t *trial) verdict() (o outcome, reason string) {
	switch {
	case t.err != nil:
		return t.outcome, t.err.Error()
	case t.outcome != fine:
		return t.outcome, string(t.outcome)
	case !t.probe.changes && t.seen.changed():
		return changed, "the path changes its mark"
	}
	return fine, ""
}
