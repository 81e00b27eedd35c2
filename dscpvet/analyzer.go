package dscpvet

import (
	"flag"

	"golang.org/x/tools/go/analysis"
)

const url = "https://pkg.go.dev/github.com/godscp/godscp/dscpvet"

// Analyzer reports calls that mark packets with a DSCP wrongly.
var Analyzer = New()

// A check looks for one kind of fault.
type check struct {
	name string
	doc  string
	on   bool // by default
	run  func(*program)
}

// checks returns all checks, those that are on by default first.
func checks() []check {
	return []check{
		{"late", "report marks that are set on established connections", true, (*program).late},
		{"escape", "report marks that are set past the guard of a connection of package dscp", true, (*program).escape},
		{"level", "report IP_TOS and IPV6_TCLASS at the wrong protocol level", true, (*program).level},
		{"unit", "report octets used as code points and code points used as octets", true, (*program).unit},
		{"dropped", "report ignored errors of calls that set a mark", true, (*program).dropped},
		{"family", "report marks for one of IPv4 and IPv6 where both are possible", true, (*program).family},
		{"mptcp", "report listeners that may stay unmarked on Multipath TCP", true, (*program).mptcp},
		{"ecn", "report constant octets that set ECN bits", false, (*program).ecn},
		{"cmsg", "report control messages that replace the mark of a datagram", false, (*program).cmsg},
		{"write", "report marks that are set for each write", false, (*program).write},
		{"guess", "report calls on an established connection whose name says that they mark it", false, (*program).guess},
	}
}

// New returns an analyzer with its own flags. A driver that runs several
// configurations in one process needs one analyzer for each; others use [Analyzer].
func New() *analysis.Analyzer {
	s := &settings{checks: checks()}
	a := &analysis.Analyzer{
		Name:      "dscpvet",
		Doc:       "report calls that mark packets with a DSCP wrongly\n\nSee " + url + " for the checks.",
		URL:       url,
		FactTypes: []analysis.Fact{new(marksParameter), new(setsSockopt)},
		Run:       s.run,
	}
	a.Flags.Init("dscpvet", flag.ExitOnError)
	for i := range s.checks {
		c := &s.checks[i]
		a.Flags.BoolVar(&c.on, c.name, c.on, c.doc)
	}
	a.Flags.BoolVar(&s.all, "all", false, "run all checks")
	a.Flags.BoolVar(&s.tests, "tests", false, "check test files, too")
	return a
}

// settings has the flags of one analyzer.
type settings struct {
	checks     []check
	all, tests bool
}

func (s *settings) run(pass *analysis.Pass) (any, error) {
	if !relevant(pass) {
		return nil, nil
	}
	p := newProgram(pass)
	p.exportFacts()
	p.tests = s.tests
	p.silenced = silences(pass)
	for _, c := range s.checks {
		if c.on || s.all {
			p.check = c.name
			c.run(p)
		}
	}
	return nil, nil
}
