package main

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the module's, as seen from this package.
const root = "../.."

// TestTableFitsTheSources fails when the sources have moved on: the text that a
// mutation replaces must be there, and the test that it names.
func TestTableFitsTheSources(t *testing.T) {
	t.Parallel()
	require.NoError(t, check(root, table))
	tests := map[string][]testFile{}
	for _, m := range table {
		name := m.part + ": " + m.rule + ": " + m.how
		for what, text := range map[string]string{"part": m.part, "rule": m.rule, "how": m.how, "test": m.test} {
			assert.NotEmpty(t, text, "%s has no %s", name, what)
		}
		mutated, err := m.apply(root)
		require.NoError(t, err)
		_, err = parser.ParseFile(token.NewFileSet(), m.file, mutated, parser.SkipObjectResolution)
		assert.NoError(t, err, name)

		if tests[m.pkg()] == nil {
			tests[m.pkg()], err = testFilesIn(filepath.Join(root, m.pkg()))
			require.NoError(t, err)
		}
		_, err = without(tests[m.pkg()], m.test)
		assert.NoError(t, err, name)
	}
}

func TestMutationsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range table {
		key := m.part + ": " + m.rule + ": " + m.how
		assert.False(t, seen[key], "twice: %s", key)
		seen[key] = true
		assert.NotEqual(t, m.old, m.new, key)
	}
}
