package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/natlab"
	"github.com/godscp/godscp/internal/testns"
)

// The two ways in which a box breaks a session.
const (
	lost   outcome = "connection lost" // at once, with an error
	silent outcome = "no answer"       // until ssh gives up
)

// natBoxes are the kinds of box: the rules for the kernel's NAT and the model for the
// relay.
var natBoxes = []struct {
	name    string
	rules   func(*natlab.Lab)
	model   dscptest.Model
	breaks  outcome
	verdict dscptest.Verdict
	fatal   func(marks) int // index of the first mark at which the box breaks the flow, or -1
	rows    []session
}{
	{
		name:  "precedence",
		rules: func(l *natlab.Lab) { l.Judge(natlab.Precedence, "reject with tcp reset") },
		model: dscptest.VMware, breaks: lost, verdict: dscptest.Reset,
		fatal: marks.fatal,
		rows:  []session{{ipqos: "af21 cs1"}, {ipqos: "af21 cs1", tty: true}, {ipqos: "16 8"}},
	},
	{
		name:  "flow key",
		rules: func(l *natlab.Lab) { l.Judge(natlab.CodePoint, "drop") },
		model: dscptest.FlowKey, breaks: silent, verdict: dscptest.Blackhole,
		fatal: func(m marks) int { return slices.IndexFunc(m, func(cp dscp.CodePoint) bool { return cp != m[0] }) },
		rows: []session{
			{ipqos: "16 8", options: giveUp},
			{ipqos: "16 8", tty: true, options: giveUp},
		},
	},
}

// giveUp makes ssh end after five seconds without an answer.
var giveUp = []string{"ServerAliveInterval=1", "ServerAliveCountMax=5"}

// A sighting is the result of a session through a box.
type sighting struct {
	outcome outcome          // for ssh's user
	verdict dscptest.Verdict // of the box
	marks   marks            // of the client, up to the one at which the box breaks the flow
}

// TestSSHThroughNAT runs the ssh of this machine through a NAT of the kernel and
// through the relay of dscptest. It claims that both apply the rule to the marks that
// the same session has on a direct path, with the same result.
func TestSSHThroughNAT(t *testing.T) {
	t.Parallel() // some sessions wait for a timeout
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
				name := map[bool]string{false: " exec", true: " tty"}[s.tty]
				t.Run(box.name+"/"+family+"/"+s.ipqos+name, func(t *testing.T) {
					want := throughRelay(t, s, keys, nil, six)
					require.Equal(t, works, want.outcome)
					assert.Subset(t, sessionMarks[s.ipqos], want.marks)
					if !s.tty {
						assert.Contains(t, want.marks, sessionMarks[s.ipqos][2], "the session has the bulk mark at some time")
					}
					if last := box.fatal(want.marks); last >= 0 {
						want = sighting{outcome: box.breaks, verdict: box.verdict, marks: want.marks[:last+1]}
					}
					until := func(saw sighting) sighting {
						if last := box.fatal(saw.marks); last >= 0 {
							saw.marks = saw.marks[:last+1]
						}
						return saw
					}
					var byKernel, byRelay sighting
					t.Cleanup(func() { assert.Equal(t, byKernel, byRelay, "the kernel's NAT and the relay disagree") })
					t.Run("kernel", func(t *testing.T) {
						t.Parallel()
						byKernel = until(throughKernel(t, s, keys, kernel, six))
						assert.Equal(t, want, byKernel)
					})
					t.Run("relay", func(t *testing.T) {
						t.Parallel()
						byRelay = until(throughRelay(t, s, keys, []dscptest.Model{box.model}, six))
						assert.Equal(t, want, byRelay)
					})
				})
			}
		}
	}
}

// sessionMarks are the possible marks of a session: none, with a terminal, and without
// a terminal.
var sessionMarks = map[string]marks{
	"af21 cs1": {dscp.DF, dscp.AF21, dscp.CS1},
	"16 8":     {dscp.DF, dscp.LowDelay, dscp.Throughput},
}
