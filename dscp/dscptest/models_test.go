package dscptest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestModelVerdicts(t *testing.T) {
	t.Parallel()
	const (
		lowDelay   = dscp.LowDelay
		throughput = dscp.Throughput
	)
	tests := []struct {
		name    string
		model   dscptest.Model
		network string
		marks   []dscp.CodePoint // first and later
		want    dscptest.Verdict
	}{
		// From published reports.
		{"lowdelay after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, lowDelay}, dscptest.Pass},
		{"throughput after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, throughput}, dscptest.Pass},
		{"AF21 after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, dscp.AF21}, dscptest.Reset},
		{"CS1 after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, dscp.CS1}, dscptest.Reset},
		// Predicted by the rule.
		{"AF21 to CS1", dscptest.VMware, "tcp6", []dscp.CodePoint{dscp.AF21, dscp.CS1}, dscptest.Reset},
		{"EF to DF", dscptest.VMware, "tcp6", []dscp.CodePoint{dscp.EF, dscp.DF}, dscptest.Reset},
		{"same precedence", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.AF11, dscp.AF13}, dscptest.Pass},
		{"DF to LE", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, dscp.LE}, dscptest.Pass},
		{"constant EF", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.EF, dscp.EF}, dscptest.Pass},
		{"datagrams have no precedence check", dscptest.VMware, "udp4", []dscp.CodePoint{dscp.DF, dscp.AF21}, dscptest.Pass},

		{"any change", dscptest.FlowKey, "tcp4", []dscp.CodePoint{dscp.DF, lowDelay}, dscptest.Blackhole},
		{"same class", dscptest.FlowKey, "tcp4", []dscp.CodePoint{dscp.AF11, dscp.AF12}, dscptest.Blackhole},
		{"constant", dscptest.FlowKey, "tcp4", []dscp.CodePoint{dscp.AF21, dscp.AF21}, dscptest.Pass},
		{"datagrams have a key too", dscptest.FlowKey, "udp6", []dscp.CodePoint{dscp.DF, dscp.AF21}, dscptest.Blackhole},

		{"one mark", dscptest.OneMark, "tcp4", []dscp.CodePoint{dscp.EF, dscp.EF}, dscptest.Pass},
		{"two marks", dscptest.OneMark, "tcp4", []dscp.CodePoint{dscp.EF, dscp.DF}, dscptest.Report},

		{"a dropped mark", dscptest.DropMarked(dscp.AF21, dscp.EF), "tcp4", []dscp.CodePoint{dscp.EF, dscp.EF}, dscptest.Drop},
		{"another mark", dscptest.DropMarked(dscp.AF21, dscp.EF), "tcp4", []dscp.CodePoint{dscp.CS1, dscp.CS1}, dscptest.Pass},
		{"any mark", dscptest.DropMarked(), "udp6", []dscp.CodePoint{dscp.DF, dscp.CodePoint(63)}, dscptest.Drop},
		{"no mark", dscptest.DropMarked(), "tcp4", []dscp.CodePoint{dscp.CS1, dscp.DF}, dscptest.Pass},
		{"marked data", dscptest.DropMarkedData(dscp.LowDelay), "tcp4", []dscp.CodePoint{dscp.DF, dscp.LowDelay}, dscptest.Drop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := dscptest.Segment{Network: tt.network, DSCP: tt.marks[1], First: tt.marks[0], Prev: tt.marks[0]}
			assert.Equal(t, tt.want, tt.model(s))
		})
	}
}

// FuzzModels checks for any segment that a flow with one mark survives, and that VMware
// looks only at precedence.
func FuzzModels(f *testing.F) {
	f.Add(uint8(0), uint8(18), uint8(0), true, int64(21))
	f.Add(uint8(18), uint8(8), uint8(18), false, int64(0))
	f.Fuzz(func(t *testing.T, first, now, prev uint8, client bool, offset int64) {
		s := dscptest.Segment{
			Network: "tcp4", DSCP: dscp.CodePoint(now & 63), First: dscp.CodePoint(first & 63),
			Prev: dscp.CodePoint(prev & 63), Offset: offset,
		}
		if !client {
			s.Direction = dscptest.ServerToClient
		}
		changed := s.First != s.DSCP
		if v := dscptest.VMware(s); (v == dscptest.Reset) != (first&63>>3 != now&63>>3) {
			t.Errorf("VMware(%+v) = %v", s, v)
		}
		if v := dscptest.OneMark(s); (v == dscptest.Report) != changed {
			t.Errorf("OneMark(%+v) = %v", s, v)
		}
		for _, m := range []dscptest.Model{dscptest.Bleach, dscptest.BleachToSPrecedence, dscptest.BleachSomeToS,
			dscptest.RemarkToS, dscptest.BleachLow, dscptest.BleachSomeLow, dscptest.Remark(dscp.CodePoint(prev))} {
			v := m(s)
			cp, ok := v.Mark()
			if !ok && v != dscptest.Pass {
				t.Errorf("a rewriter returned %v", v)
			}
			again := s
			again.DSCP = cp
			if v2 := m(again); ok && v2 != v {
				t.Errorf("rewriting twice: %v, then %v", v, v2)
			}
		}
		if v := dscptest.FlowKey(s); (v == dscptest.Blackhole) != changed {
			t.Errorf("FlowKey(%+v) = %v", s, v)
		}
		some := dscp.CodePoint(prev & 63)
		for _, handshake := range []bool{true, false} {
			s.Handshake = handshake
			if v := dscptest.DropMarked(some)(s); (v == dscptest.Drop) != (s.DSCP == some) {
				t.Errorf("DropMarked(%v)(%+v) = %v", some, s, v)
			}
			if v := dscptest.DropMarkedData(some)(s); (v == dscptest.Drop) != (s.DSCP == some && !handshake) {
				t.Errorf("DropMarkedData(%v)(%+v) = %v", some, s, v)
			}
			if v := dscptest.DropMarked()(s); (v == dscptest.Drop) != (s.DSCP != dscp.DF) {
				t.Errorf("DropMarked()(%+v) = %v", s, v)
			}
		}
	})
}

// TestDropMarkedDataSparesHandshake compares DropMarkedData with DropMarked.
func TestDropMarkedDataSparesHandshake(t *testing.T) {
	t.Parallel()
	syn := dscptest.Segment{Network: "tcp4", Handshake: true, DSCP: dscp.AF21, First: dscp.AF21, Prev: dscp.AF21}
	assert.Equal(t, dscptest.Pass, dscptest.DropMarkedData()(syn))
	assert.Equal(t, dscptest.Drop, dscptest.DropMarked()(syn))
}

// TestRewritersFollowRFC9435 checks the table of RFC 9435, section 4.
func TestRewritersFollowRFC9435(t *testing.T) {
	t.Parallel()
	marks := []dscp.CodePoint{dscp.DF, dscp.LE, dscp.LowDelay, dscp.CS1, dscp.AF11, dscp.AF21, dscp.AF42, dscp.NQB, dscp.EF, dscp.CS6, 0b111_111}
	tests := []struct {
		name  string
		model dscptest.Model
		want  []dscp.CodePoint // of marks
	}{
		{"Bleach-DSCP", dscptest.Bleach, []dscp.CodePoint{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"Bleach-ToS-Precedence", dscptest.BleachToSPrecedence, []dscp.CodePoint{0, 1, 4, 0, 2, 2, 4, 5, 6, 0, 7}},
		{"Bleach-some-ToS", dscptest.BleachSomeToS, []dscp.CodePoint{0, 1, 4, 0, 2, 2, 4, 5, 6, 48, 63}},
		{"Re-mark-ToS", dscptest.RemarkToS, []dscp.CodePoint{8, 9, 12, 8, 10, 10, 12, 13, 14, 8, 15}},
		{"Bleach-low", dscptest.BleachLow, []dscp.CodePoint{0, 0, 0, 8, 8, 16, 32, 40, 40, 48, 56}},
		{"Bleach-some-low", dscptest.BleachSomeLow, []dscp.CodePoint{0, 0, 0, 8, 8, 16, 32, 40, 40, 48, 63}},
		{"Re-mark-DSCP", dscptest.Remark(dscp.CS1), []dscp.CodePoint{8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8}},
	}
	for _, tt := range tests {
		for i, cp := range marks {
			got, ok := tt.model(dscptest.Segment{DSCP: cp}).Mark()
			if !ok {
				got = cp
			}
			assert.Equal(t, tt.want[i], got, "%s of %v", tt.name, cp)
		}
	}
}
