package dscpvet_test

import (
	"testing"

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

func with(t *testing.T, flags ...string) *analysis.Analyzer {
	a := dscpvet.New()
	for _, f := range flags {
		require.NoError(t, a.Flags.Set(f, "true"))
	}
	return a
}

func TestAnalyzerIsValid(t *testing.T) {
	require.NoError(t, analysis.Validate([]*analysis.Analyzer{dscpvet.Analyzer}))
}
