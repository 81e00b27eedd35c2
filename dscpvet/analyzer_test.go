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

// Each check finds what is wrong in its package of testdata, and nothing that
// is right there, with the checks that are on by default. The programs below
// right mark well, or have a reason, and are left alone.
func TestDefaultChecks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), dscpvet.New(),
		"lib", "late", "escape", "dropped", "family", "mptcp", "nolint", "right/...")
}

// What the suggested fixes make of a package is its golden file.
func TestSuggestedFixes(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), dscpvet.New(), "level", "unit")
}

func TestOptionalChecks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), with(t, "ecn", "cmsg", "write", "guess"),
		"ecn", "cmsg", "write", "guess")
}

// Files of tests are looked at if a flag says so; package nolint has one that is
// left alone.
func TestTests(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), with(t, "tests"), "tests")
}

func with(t *testing.T, flags ...string) *analysis.Analyzer {
	a := dscpvet.New()
	for _, f := range flags {
		require.NoError(t, a.Flags.Set(f, "true"))
	}
	return a
}

// The analyzer is well formed, and to import it defines no flags of the program.
func TestAnalyzerIsValid(t *testing.T) {
	require.NoError(t, analysis.Validate([]*analysis.Analyzer{dscpvet.Analyzer}))
	assert.NotNil(t, dscpvet.Analyzer.Flags.Lookup("late"))
	assert.Nil(t, flag.Lookup("late"))
	assert.Nil(t, flag.Lookup("dscpvet.late"))
}
