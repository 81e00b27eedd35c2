package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCheckFindsRulesThatDoNotFit uses sources that it writes itself: mutate compares
// those of the library with the table when it runs.
func TestCheckFindsRulesThatDoNotFit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "p"), 0o755))
	for name, text := range map[string]string{
		"p.go":      "package p\n\nfunc f() int { return 1 }\n",
		"p_test.go": "package p\n\nfunc TestF(t *testing.T) { f() }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "p", name), []byte(text), 0o644))
	}
	good := mutation{part: "p", rule: "f is 1", how: "2", file: "p/p.go", old: "return 1", new: "return 2", test: "TestF"}
	require.NoError(t, check(root, []mutation{good}))
	for want, change := range map[string]func(*mutation){
		"times, not once":            func(m *mutation) { m.old = "n" },
		"occurs 0 times":             func(m *mutation) { m.old = "return 3" },
		"no such file":               func(m *mutation) { m.file = "p/q.go" },
		"expected operand":           func(m *mutation) { m.new = "return )" },
		"there is no TestG":          func(m *mutation) { m.test = "TestG" },
		"has no part":                func(m *mutation) { m.part = "" },
		"has no part, rule, change ": func(m *mutation) { m.test = "" },
		"changes nothing":            func(m *mutation) { m.new = m.old },
	} {
		m := good
		change(&m)
		assert.ErrorContains(t, check(root, []mutation{m}), want)
	}
	assert.ErrorContains(t, check(root, []mutation{good, good}), "occurs twice")
}
