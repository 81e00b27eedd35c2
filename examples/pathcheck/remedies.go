package main

import (
	"context"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// remedies are what may help, the best first. Each is tried on the path before
// it is printed: what the trials say of single marks need not hold for a Dialer,
// which does more than set one.
type remedies struct {
	dialers []dscp.Dialer
	ssh     []sshLine
}

// An sshLine is a line for ssh_config, and the connections that OpenSSH makes
// with it.
type sshLine struct {
	text   string
	probes []probe
}

// An attempt is a remedy that was tried. The report for people does not show those
// in vain: a line that can be pasted is taken for advice.
type attempt struct {
	Advice  string  `json:"advice"`
	Outcome outcome `json:"outcome"`
	Error   string  `json:"error,omitempty"`
}

// A path is what a remedy can be tried on.
type path interface {
	try(context.Context, probe) trial
	tryDialer(context.Context, dscp.Dialer) trial
}

// remediesFor names what may help. arrives tells of a probe whether its mark
// stays the same on the way.
func remediesFor(tallies []tally, wanted dscp.CodePoint, arrives func(probe) bool) remedies {
	works := func(p probe) bool {
		return arrives(p) && slices.ContainsFunc(tallies, func(t tally) bool { return t.probe == p && t.ok > 0 && !t.unsure() })
	}
	lostSYN := slices.ContainsFunc(tallies, func(t tally) bool {
		return t.probe == constant(wanted) && t.harmed() && t.how().stage == connecting
	})
	return remedies{dialerRemedies(works, lostSYN, wanted), sshRemedies(works, wanted)}
}

// dialerRemedies are Dialers. None changes a mark, so that the marks themselves
// are all there is to choose.
func dialerRemedies(works func(probe) bool, lostSYN bool, wanted dscp.CodePoint) []dscp.Dialer {
	var all []dscp.Dialer
	safe := works(constant(wanted.NATSafe()))
	if works(constant(wanted)) {
		all = append(all, dscp.Dialer{DSCP: wanted})
	}
	if lostSYN { // elsewhere the mark may work, and only the SYN tells
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

// sshRemedies are lines for ssh_config. OpenSSH up to 8.4, and its servers, mark
// a connection when it is up already, so a mark helps only if the path survives
// the change to it. One mark for both classes is never changed once it is there.
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

// prescribe tries the remedies one after the other, until one of each kind comes
// through. Nothing else becomes the cure.
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
		d.notes = append(d.notes, "no dscp.Dialer was found that gets through unharmed")
	}
	if d.cure.ssh == "" {
		d.notes = append(d.notes, "no line for ssh_config was found that gets through unharmed")
	}
}

// tryOut reports whether all the connections of a remedy come through. One that
// fails gets another chance, since any connection may fail by chance.
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

// verdict returns the outcome of a trial of a remedy, for which it is not enough
// to live: its mark has to stay the same, too.
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
