package dscpvet_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/godscp/godscp/dscpvet"
)

// With the default checks, each check reports the faults in its package of
// testdata and nothing else there. The programs below testdata/src/right have no
// fault, or a reason for what they do, and no check reports them.
func TestDefaultChecks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), dscpvet.New(),
		"lib", "late", "escape", "dropped", "family", "mptcp", "nolint", "right/...")
}

// Applying the suggested fixes to a package gives its golden file.
func TestSuggestedFixes(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), dscpvet.New(), "level", "unit")
}

func TestOptionalChecks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), with(t, "ecn", "cmsg", "write", "guess"),
		"ecn", "cmsg", "write", "guess")
}

// With -tests the analyzer checks test files, too; package nolint has one that is
// not checked without the flag.
func TestFlagChecksTestFiles(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), with(t, "tests"), "tests")
}

func with(t *testing.T, flags ...string) *analysis.Analyzer {
	a := dscpvet.New()
	for _, f := range flags {
		require.NoError(t, a.Flags.Set(f, "true"))
	}
	return a
}

// The analyzer is well formed, and importing it defines no flags in the program.
func TestAnalyzerIsValid(t *testing.T) {
	require.NoError(t, analysis.Validate([]*analysis.Analyzer{dscpvet.Analyzer}))
	assert.NotNil(t, dscpvet.Analyzer.Flags.Lookup("late"))
	assert.Nil(t, flag.Lookup("late"))
	assert.Nil(t, flag.Lookup("dscpvet.late"))
}
