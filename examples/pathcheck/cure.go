package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A cure is what to write where, so that a program survives the path.
type cure struct {
	ssh    string // a line for ssh_config
	dialer string // Go
}

func cureFor(tallies []tally, wanted dscp.CodePoint) cure {
	works := func(p probe) bool {
		return slices.ContainsFunc(tallies, func(t tally) bool { return t.probe == p && t.ok > 0 && !t.unsure() })
	}
	return cure{sshCure(works, wanted), dialerCure(tallies, works, wanted)}
}

// dialerCure is a dscp.Dialer. It never changes a mark, so that the marks
// themselves are all there is to choose.
func dialerCure(tallies []tally, works func(probe) bool, wanted dscp.CodePoint) string {
	mark := goName(wanted)
	safe := works(constant(wanted.NATSafe()))
	lostSYN := slices.ContainsFunc(tallies, func(t tally) bool {
		return t.probe == constant(wanted) && t.harmed() && t.how().stage == connecting
	})
	switch {
	case works(constant(wanted)):
		return fmt.Sprintf("dscp.Dialer{DSCP: %s}", mark)
	case lostSYN && safe:
		return fmt.Sprintf("dscp.Dialer{DSCP: %s, Fallback: []dscp.CodePoint{%s, dscp.DF}}", mark, goName(wanted.NATSafe()))
	case lostSYN:
		return fmt.Sprintf("dscp.Dialer{DSCP: %s, Fallback: []dscp.CodePoint{dscp.DF}}", mark)
	case safe:
		return fmt.Sprintf("dscp.Dialer{DSCP: %s, NATSafe: true}", mark)
	}
	return "dscp.Dialer{}"
}

// sshCure is a line for ssh_config. OpenSSH up to 8.4, and its servers, mark a
// connection when it is up already, so a mark helps only if the path survives
// the change to it. One mark for both classes is never changed once it is there.
func sshCure(works func(probe) bool, wanted dscp.CodePoint) string {
	for _, cp := range []dscp.CodePoint{wanted, wanted.NATSafe(), dscp.LowDelay, dscp.Throughput} {
		if works(constant(cp)) && works(change(dscp.DF, cp)) {
			return "IPQoS " + sshName(cp)
		}
	}
	return "IPQoS none"
}

// sshName writes a mark as every OpenSSH reads it: since 10.1 it ignores the
// names lowdelay and throughput, and since 9.8 it reads decimal numbers only,
// which are octets.
func sshName(cp dscp.CodePoint) string {
	if name := strings.ToLower(cp.String()); strings.HasPrefix(name, "af") || strings.HasPrefix(name, "cs") || name == "ef" {
		return name
	}
	return fmt.Sprint(cp.TOS())
}

// goName writes a mark in Go.
func goName(cp dscp.CodePoint) string {
	switch cp {
	case dscp.LowDelay:
		return "dscp.LowDelay"
	case dscp.Throughput:
		return "dscp.Throughput"
	case dscp.VoiceAdmit:
		return "dscp.VoiceAdmit"
	}
	if name := cp.String(); name[0] >= 'A' {
		return "dscp." + name
	}
	return fmt.Sprintf("dscp.CodePoint(%d)", uint8(cp))
}
