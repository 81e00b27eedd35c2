package dscptest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestModels(t *testing.T) {
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
		// The published reports.
		{"lowdelay after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, lowDelay}, dscptest.Pass},
		{"throughput after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, throughput}, dscptest.Pass},
		{"AF21 after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, dscp.AF21}, dscptest.Reset},
		{"CS1 after login", dscptest.VMware, "tcp4", []dscp.CodePoint{dscp.DF, dscp.CS1}, dscptest.Reset},
		// What the rule predicts.
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := dscptest.Segment{Network: tt.network, DSCP: tt.marks[1], First: tt.marks[0], Prev: tt.marks[0]}
			assert.Equal(t, tt.want, tt.model(s))
		})
	}
}

// FuzzModels holds for any segment: a flow with one mark lives, and VMware
// looks at precedence alone.
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
		if v := dscptest.FlowKey(s); (v == dscptest.Blackhole) != changed {
			t.Errorf("FlowKey(%+v) = %v", s, v)
		}
	})
}
