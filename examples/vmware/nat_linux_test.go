package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/natlab"
	"github.com/godscp/godscp/internal/testns"
)

// What a user of ssh calls the two ways in which a box breaks a session.
const (
	lost   outcome = "connection lost" // at once, with an error
	silent outcome = "no answer"       // until ssh gives up
)

// natBoxes are the kinds of box that the real ssh is run through: the rules for
// the kernel and the model for the relay.
var natBoxes = []struct {
	name    string
	rules   func(*natlab.Lab)
	model   dscptest.Model
	breaks  outcome
	verdict dscptest.Verdict
	expect  func(session) outcome
	rows    []session
}{
	{
		name:  "precedence",
		rules: func(l *natlab.Lab) { l.Judge(natlab.Precedence, "reject with tcp reset") },
		model: dscptest.VMware, breaks: lost, verdict: dscptest.Reset,
		expect: session.expect,
		rows:   []session{{ipqos: "af21 cs1"}, {ipqos: "af21 cs1", tty: true}, {ipqos: "16 8"}},
	},
	{
		name:  "flow key",
		rules: func(l *natlab.Lab) { l.Judge(natlab.CodePoint, "drop") },
		model: dscptest.FlowKey, breaks: silent, verdict: dscptest.Blackhole,
		// Here any change is fatal, and 16 and 8 differ as AF21 and CS1 do.
		expect: func(s session) outcome { s.ipqos = "af21 cs1"; return s.expect() },
		rows: []session{
			{ipqos: "16 8", options: giveUp},
			{ipqos: "16 8", tty: true, options: giveUp},
		},
	},
}

// giveUp makes ssh end after five seconds without an answer. Sessions that work
// get one at once.
var giveUp = []string{"ServerAliveInterval=1", "ServerAliveCountMax=5"}

// ipqosMarks are the marks that the values of IPQoS stand for: with a terminal,
// and without.
var ipqosMarks = map[string][2]dscp.CodePoint{
	"af21 cs1": {dscp.AF21, dscp.CS1},
	"16 8":     {dscp.LowDelay, dscp.Throughput},
}

// marks are those that a session sends, by the same sources as expect. From 10.1
// on it marks too often for a prediction: nil.
func (s session) marks() []dscp.CodePoint {
	interactive, bulk := ipqosMarks[s.ipqos][0], ipqosMarks[s.ipqos][1]
	first, then := dscp.DF, bulk
	if s.ssh.atLeast(8, 5) {
		first = interactive
	}
	if s.tty {
		then = interactive
	}
	switch {
	case s.ssh.atLeast(10, 1):
		return nil
	case first == then:
		return []dscp.CodePoint{first}
	}
	return []dscp.CodePoint{first, then}
}

func TestMarks(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		tty, exec    []dscp.CodePoint
	}{
		{8, 4, []dscp.CodePoint{dscp.DF, dscp.AF21}, []dscp.CodePoint{dscp.DF, dscp.CS1}},
		{8, 5, []dscp.CodePoint{dscp.AF21}, []dscp.CodePoint{dscp.AF21, dscp.CS1}},
		{10, 0, []dscp.CodePoint{dscp.AF21}, []dscp.CodePoint{dscp.AF21, dscp.CS1}},
		{10, 1, nil, nil},
	} {
		o := &openSSH{major: c.major, minor: c.minor}
		assert.Equal(t, c.tty, session{ssh: o, ipqos: "af21 cs1", tty: true}.marks(), "%d.%d tty", c.major, c.minor)
		assert.Equal(t, c.exec, session{ssh: o, ipqos: "af21 cs1"}.marks(), "%d.%d exec", c.major, c.minor)
	}
}

// A sighting is what became of a session at a box.
type sighting struct {
	outcome outcome          // what ssh's user sees
	verdict dscptest.Verdict // what the box did
	marks   []dscp.CodePoint // of the client, each one that differs from the one before
}

// TestSSHThroughNAT runs the ssh of this machine through a NAT of the kernel's
// and through the relay of dscptest: both do as its version lets expect, and
// both do the same.
func TestSSHThroughNAT(t *testing.T) {
	t.Parallel() // part of it waits for what does not come
	if !testns.Inside(t) {
		return
	}
	keys, err := newKeyring()
	require.NoError(t, err)
	ssh := natSSH(t, keys)
	for _, box := range natBoxes {
		kernel := natlab.New(t)
		box.rules(kernel)
		for _, six := range []bool{false, true} {
			family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
			for _, s := range box.rows {
				s.ssh = ssh
				want := sighting{outcome: box.expect(s), marks: s.marks()}
				if want.outcome == broken {
					want.outcome, want.verdict = box.breaks, box.verdict
				}
				name := map[bool]string{false: " exec", true: " tty"}[s.tty]
				t.Run(box.name+"/"+family+"/"+s.ipqos+name, func(t *testing.T) {
					var byKernel, byRelay sighting
					t.Cleanup(func() { assert.Equal(t, byKernel, byRelay, "the kernel's NAT and the relay disagree") })
					t.Run("kernel", func(t *testing.T) {
						t.Parallel()
						byKernel = throughKernel(t, s, keys, kernel, six)
						checkSighting(t, want, byKernel)
					})
					t.Run("relay", func(t *testing.T) {
						t.Parallel()
						byRelay = throughRelay(t, s, keys, box.model, six)
						checkSighting(t, want, byRelay)
					})
				})
			}
		}
	}
}

// checkSighting compares, where anything is expected at all.
func checkSighting(t *testing.T, want, got sighting) {
	t.Helper()
	if want.outcome == anything {
		assert.Contains(t, []outcome{works, lost, silent}, got.outcome)
		return
	}
	assert.Equal(t, want, got)
}
