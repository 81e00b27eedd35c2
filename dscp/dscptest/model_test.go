package dscptest_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestVerdictString(t *testing.T) {
	t.Parallel()
	for v, want := range map[dscptest.Verdict]string{
		dscptest.Pass: "passed", dscptest.Report: "reported", dscptest.Drop: "dropped",
		dscptest.Blackhole: "blackholed", dscptest.Reset: "reset", dscptest.MarkAs(dscp.AF21): "marked AF21",
	} {
		assert.Equal(t, want, v.String())
	}
	_, ok := dscptest.Reset.Mark()
	assert.False(t, ok)
	cp, ok := dscptest.MarkAs(dscp.DF).Mark()
	assert.True(t, ok)
	assert.Equal(t, dscp.DF, cp)
}

func TestDelayByCombines(t *testing.T) {
	t.Parallel()
	const d = 5 * time.Millisecond
	for _, tt := range []struct {
		verdict dscptest.Verdict
		delay   time.Duration
		text    string
	}{
		{dscptest.DelayBy(d), d, "delayed by 5ms"},
		{dscptest.DelayBy(d) | dscptest.MarkAs(dscp.AF21), d, "marked AF21, delayed by 5ms"},
		{dscptest.DelayBy(d) | dscptest.Report, d, "reported, delayed by 5ms"},
		{dscptest.DelayBy(0), 0, "passed"},
		{dscptest.DelayBy(-d), 0, "passed"},
		{dscptest.DelayBy(math.MaxInt64), 1<<48 - 1, "delayed by 78h11m14.976710655s"},
	} {
		assert.Equal(t, tt.delay, tt.verdict.Delay())
		assert.Equal(t, tt.text, tt.verdict.String())
	}
	assert.Equal(t, dscptest.Pass, dscptest.DelayBy(-d))
	same := map[dscptest.Verdict]bool{dscptest.DelayBy(d): true}
	assert.True(t, same[dscptest.DelayBy(d)], "verdicts can be compared")
	cp, ok := (dscptest.DelayBy(d) | dscptest.MarkAs(dscp.EF)).Mark()
	assert.True(t, ok)
	assert.Equal(t, dscp.EF, cp)
	_, ok = dscptest.DelayBy(d).Mark()
	assert.False(t, ok)
}
