package dscptest_test

import (
	"testing"

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
