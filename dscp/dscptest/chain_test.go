package dscptest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// constantly returns a model that always returns the same verdict.
func constantly(v Verdict) Model { return func(Segment) Verdict { return v } }

func TestChainJudges(t *testing.T) {
	t.Parallel()
	toAF21 := constantly(MarkAs(dscp.AF21))
	tests := []struct {
		name   string
		models []Model
		inside Side
		marks  []dscp.CodePoint // client to server
		want   []decision       // without the model's name
	}{
		{"no model", nil, 0, []dscp.CodePoint{0, 18}, []decision{{out: 0}, {out: 18}}},
		{"nil model", []Model{nil}, 0, []dscp.CodePoint{0, 18}, []decision{{out: 0}, {out: 18}}},
		{"first sees the wire", []Model{VMware, toAF21}, 0, []dscp.CodePoint{0, 46},
			[]decision{{verdict: MarkAs(18), out: 18}, {verdict: Reset, out: 46}}},
		{"second sees what the first left", []Model{toAF21, VMware}, 0, []dscp.CodePoint{0, 46},
			[]decision{{verdict: MarkAs(18), out: 18}, {verdict: MarkAs(18), out: 18}}},
		{"marking what is so already is nothing", []Model{toAF21}, 0, []dscp.CodePoint{18}, []decision{{out: 18}}},
		{"harder wins", []Model{constantly(Report), toAF21}, 0, []dscp.CodePoint{0}, []decision{{verdict: Report, out: 18}}},
		{"delays add up", []Model{constantly(DelayBy(2)), constantly(DelayBy(3) | MarkAs(18)), constantly(DelayBy(4) | MarkAs(18))}, 0,
			[]dscp.CodePoint{0}, []decision{{verdict: DelayBy(3) | MarkAs(18), out: 18, delay: 9}}},
		{"a mark is harder than a delay", []Model{constantly(DelayBy(2)), toAF21}, 0, []dscp.CodePoint{0},
			[]decision{{verdict: MarkAs(18), out: 18, delay: 2}}},
		{"a delay is harder than nothing", []Model{nil, constantly(DelayBy(2))}, 0, []dscp.CodePoint{0},
			[]decision{{verdict: DelayBy(2), delay: 2}}},
		{"an end is not delayed", []Model{constantly(DelayBy(2) | Reset)}, 0, []dscp.CodePoint{0}, []decision{{verdict: Reset, delay: 2}}},
		{"an end ends", []Model{constantly(Blackhole), constantly(Reset)}, 0, []dscp.CodePoint{0}, []decision{{verdict: Blackhole}}},
		{"the outside is free", []Model{constantly(Reset)}, Server, []dscp.CodePoint{0, 46}, []decision{{out: 0}, {out: 46}}},
		{"the inside is not", []Model{VMware}, Client, []dscp.CodePoint{0, 46}, []decision{{out: 0}, {verdict: Reset, out: 46}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newChain(tt.models, tt.inside)
			h := c.history()
			for i, cp := range tt.marks {
				got, err := c.judge(Segment{Network: "tcp4", DSCP: cp}, h)
				require.NoError(t, err)
				got.model, got.reporter = "", ""
				assert.Equal(t, tt.want[i], got, "segment %d", i)
			}
		})
	}
}

func TestChainShowsHistory(t *testing.T) {
	t.Parallel()
	var seen []Segment
	c := newChain([]Model{func(s Segment) Verdict { seen = append(seen, s); return Pass }}, 0)
	h := c.history()
	for i, cp := range []dscp.CodePoint{10, 18, 46} {
		_, err := c.judge(Segment{Network: "tcp6", DSCP: cp, Offset: int64(i)}, h)
		require.NoError(t, err)
	}
	assert.Equal(t, []Segment{
		{Network: "tcp6", DSCP: 10, First: 10, Prev: 10},
		{Network: "tcp6", DSCP: 18, First: 10, Prev: 10, Offset: 1},
		{Network: "tcp6", DSCP: 46, First: 10, Prev: 18, Offset: 2},
	}, seen)
}

func TestChainPanic(t *testing.T) {
	t.Parallel()
	c := newChain([]Model{func(Segment) Verdict { panic("oh") }}, 0)
	_, err := c.judge(Segment{}, c.history())
	require.ErrorContains(t, err, "panicked: oh")
	_, err = c.judgesLater("tcp4", ServerToClient)
	require.ErrorContains(t, err, "panicked: oh")
}

func TestJudgesLaterFindsModelsThatAct(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		models []Model
		inside Side
		want   bool
	}{
		{nil, 0, false},
		{[]Model{VMware}, 0, true},
		{[]Model{func(s Segment) Verdict { // PoliceEF
			if s.DSCP == dscp.EF && s.Offset > 64<<10 {
				return Drop
			}
			return Pass
		}}, 0, true},
		{[]Model{VMware}, Server, true},
		{[]Model{VMware}, Client, false},
	} {
		got, err := newChain(tt.models, tt.inside).judgesLater("tcp4", ServerToClient)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}

func TestModelName(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "VMware", modelName(VMware))
	assert.Equal(t, "constantly", modelName(constantly(Pass)))
}

// TestDropsSYNsOfAnySet compares the set of marks that a chain drops with the arguments
// of DropMarked.
func TestDropsSYNsOfAnySet(t *testing.T) {
	t.Parallel()
	for _, cps := range [][]dscp.CodePoint{
		{dscp.DF}, {dscp.EF}, {63}, {dscp.DF, 63}, {dscp.AF11, dscp.AF21, dscp.AF31}, {1, 2, 4, 8, 16, 32},
	} {
		var want kernel.MarkSet
		for _, cp := range cps {
			want |= 1 << cp
		}
		for _, network := range []string{"tcp4", "tcp6"} {
			lost, err := newChain([]Model{DropMarked(cps...)}, 0).dropsSYNs(network)
			require.NoError(t, err)
			assert.Equal(t, want, lost, "%v", cps)
		}
	}
}

// TestDelayedHandshakeIsRefused judges with models that delay handshakes.
func TestDelayedHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	for d := range Direction(2) {
		delays := func(s Segment) Verdict {
			if s.Direction == d && s.DSCP == dscp.EF {
				return DelayBy(1)
			}
			return Pass
		}
		c := newChain([]Model{delays}, 0)
		_, err := c.dropsSYNs("tcp4")
		require.ErrorContains(t, err, "delays a handshake")
		_, err = c.judge(Segment{Network: "tcp4", Direction: d, Handshake: true, DSCP: dscp.EF}, c.history())
		require.ErrorContains(t, err, "delays a handshake")
		_, err = c.judge(Segment{Network: "tcp4", Direction: d, DSCP: dscp.EF}, c.history())
		require.NoError(t, err)
	}
}
