package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// A pickyPath refuses the Dialers and probes that its functions select.
type pickyPath struct {
	refusesDialer func(dscp.Dialer) bool
	refusesProbe  func(probe) bool
	tries         int
}

func (p *pickyPath) result(refuses bool, pr probe) trial {
	p.tries++
	if refuses {
		return trial{probe: pr, outcome: refused, stage: connecting, err: errors.New("connection refused")}
	}
	return trial{probe: pr, outcome: fine, stage: after}
}

func (p *pickyPath) try(_ context.Context, pr probe) trial {
	return p.result(p.refusesProbe != nil && p.refusesProbe(pr), pr)
}

func (p *pickyPath) tryDialer(_ context.Context, d dscp.Dialer) trial {
	return p.result(p.refusesDialer != nil && p.refusesDialer(d), constant(d.DSCP))
}

// refusingAF21 returns the diagnosis of a path that refuses SYNs marked AF21.
func refusingAF21(t *testing.T) diagnosis {
	t.Helper()
	x := &examiner{wanted: dscp.AF21, scheme: ssh2, n: 3, try: func(_ context.Context, p probe) trial {
		if p.mark == dscp.AF21 || p.to == dscp.AF21 {
			return trial{probe: p, outcome: refused, stage: connecting, err: errors.New("connection refused")}
		}
		return trial{probe: p, outcome: fine}
	}}
	d := diagnose(x.examine(t.Context()), dscp.AF21, ssh2)
	require.Equal(t, harm, d.state)
	return d
}

// TestOnlyWhatWorksIsAdvised claims that the report has only settings that worked when
// they were tried.
func TestOnlyWhatWorksIsAdvised(t *testing.T) {
	none := func(dscp.Dialer) bool { return true }
	for name, tt := range map[string]struct {
		path pickyPath
		want cure
	}{
		"all works": {pickyPath{}, cure{"IPQoS 16", "dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}"}},
		"no Fallback": {
			pickyPath{refusesDialer: func(d dscp.Dialer) bool { return len(d.Fallback) > 0 }},
			cure{"IPQoS 16", "dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}"},
		},
		"only unmarked": {
			pickyPath{
				refusesDialer: func(d dscp.Dialer) bool { return d.DSCP != dscp.DF },
				refusesProbe:  func(p probe) bool { return p != control },
			},
			cure{"IPQoS none", "dscp.Dialer{}"},
		},
		"only a change is refused": {
			pickyPath{refusesProbe: func(p probe) bool { return p == change(dscp.DF, dscp.LowDelay) }},
			cure{"IPQoS 8", "dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}"},
		},
		"nothing": {pickyPath{refusesDialer: none, refusesProbe: func(probe) bool { return true }}, cure{}},
	} {
		t.Run(name, func(t *testing.T) {
			d := refusingAF21(t)
			// Add a line that the examination did not need to try.
			d.remedies.ssh = append([]sshLine{}, d.remedies.ssh...)
			if tt.want.ssh == "IPQoS 8" {
				line := sshLine{"IPQoS 8", []probe{constant(dscp.Throughput), change(dscp.DF, dscp.Throughput)}}
				d.remedies.ssh = append(d.remedies.ssh[:1:1], line)
			}
			d.prescribe(t.Context(), &tt.path)
			assert.Equal(t, tt.want, d.cure)
			assert.Positive(t, tt.path.tries)
			var report bytes.Buffer
			require.NoError(t, printReport(&report, target{text: "host"}, d))
			for advice, want := range map[string]string{"dscp.Dialer{": tt.want.dialer, "IPQoS ": tt.want.ssh} {
				assert.Equal(t, min(len(want), 1), strings.Count(report.String(), advice), "%s", report.String())
				assert.Contains(t, report.String(), want)
			}
			for _, a := range d.tried {
				assert.Equal(t, a.Advice == tt.want.dialer || a.Advice == tt.want.ssh, a.Outcome == fine, "%+v", a)
			}
		})
	}
}

// TestRemedyFailsByChance claims that a remedy that fails once is tried again.
func TestRemedyFailsByChance(t *testing.T) {
	n := 0
	path := pickyPath{refusesDialer: func(dscp.Dialer) bool {
		n++
		return n == 1
	}}
	d := refusingAF21(t)
	d.prescribe(t.Context(), &path)
	assert.Equal(t, "dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}", d.cure.dialer)
	assert.Len(t, d.tried, 2)
}
