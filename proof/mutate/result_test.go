package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFirstFailure(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n--- FAIL: TestC (0.00s)\nFAIL\n":                  "TestA",
		"    x.go:1: noise\n--- FAIL: TestB (1.00s)\npanic: boom [recovered]\n":                                    "TestB",
		"panic: test timed out after 2m0s\n\trunning tests:\n\t\tTestC/d (2m0s)\n\t\tTestE (1s)\n\ngoroutine 1:\n": "TestC",
		"panic: boom\n\ngoroutine 7 [running]:\n":                                                                  ".*",
	} {
		assert.Equal(t, want, firstFailure(out), "%q", out)
	}
}

func TestSurvivorsAreAnError(t *testing.T) {
	t.Parallel()
	m := mutation{part: "p", rule: "a | b", how: "h", test: "TestA"}
	killed := result{mutation: m, killer: "TestA"}
	other := result{mutation: m, killer: "TestB"}
	survived := result{mutation: m}
	broken := result{mutation: m, err: errors.New("boom")}
	require.NoError(t, wrong([]result{killed, other}))
	require.ErrorContains(t, wrong([]result{killed, survived}), "SURVIVED")
	require.ErrorContains(t, wrong([]result{broken, killed}), "boom")
	assert.Contains(t, other.String(), "killed by TestB, not by TestA")

	var b strings.Builder
	writeMarkdown(&b, []result{killed, survived, broken})
	assert.Equal(t, "\n**p**\n\n| rule | broken by | test that fails |\n|---|---|---|\n"+
		"| a \\| b | h | `TestA` |\n| a \\| b | h | **none** |\n| a \\| b | h | **error** |\n"+
		"\n3 mutations, 1 killed.\n", b.String())
}

func TestWithout(t *testing.T) {
	t.Parallel()
	files := []testFile{
		{path: "a", pkg: "p", declares: []string{"TestA"}, mentions: map[string]bool{"b": true, "x": true}},
		{path: "b", pkg: "p", declares: []string{"b"}, mentions: map[string]bool{"c": true}},
		{path: "c", pkg: "p", declares: []string{"c"}},
		{path: "d", pkg: "p", declares: []string{"d"}, mentions: map[string]bool{"c": true}},
		{path: "x", pkg: "p_test", declares: []string{"x"}},
	}
	idle, err := without(files, "TestA")
	require.NoError(t, err)
	assert.Equal(t, []string{"d", "x"}, idle)
	_, err = without(files, "TestB")
	require.Error(t, err)

	main := testFile{path: "main", pkg: "p", declares: []string{"TestMain"}, mentions: map[string]bool{"c": true}}
	export := testFile{path: "export", pkg: "p", declares: []string{"Remember"}}
	external := testFile{path: "external", pkg: "p_test", declares: []string{"TestE"}, mentions: map[string]bool{"Remember": true, "b": true}}
	idle, err = without(append([]testFile{main, export, external}, files...), "TestE")
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "d", "x"}, idle, "what p exports to p_test stays, and TestMain with what it needs")
	_, err = without([]testFile{main}, "TestB")
	require.Error(t, err)
}

func TestChoose(t *testing.T) {
	t.Parallel()
	ms := []mutation{{rule: "a"}, {rule: "b"}}
	chosen, err := choose(ms, "^: b")
	require.NoError(t, err)
	assert.Equal(t, ms[1:], chosen)
	_, err = choose(ms, "c")
	require.Error(t, err)
	_, err = choose(ms, "(")
	require.Error(t, err)
}

func TestReadTestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p_test.go")
	require.NoError(t, os.WriteFile(path, []byte("package p\n\ntype fake struct{}\n\nfunc (fake) Own() {}\nfunc (m *Memory) Remember() {}\nfunc (m *Memory) forget() { use() }\n"), 0o644))
	f, err := readTestFile(path)
	require.NoError(t, err)
	assert.Equal(t, []string{"fake", "Remember", "forget"}, f.declares, "and not the fake's own method")
	assert.True(t, f.mentions["use"])
}

func TestNoticing(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"dscp/mark.go":           {"./dscp"},
		"dialer/hook.go":         {"./dialer", "./dscp"},
		"internal/tos/option.go": {"./internal/tos", "./dscp"},
	} {
		assert.Equal(t, want, mutation{file: file}.noticing())
	}
	assert.Equal(t, "./dscp", mutation{file: "internal/tos/option.go", in: "dscp"}.testPkg())
	assert.Equal(t, "./internal/tos", mutation{file: "internal/tos/option.go"}.testPkg())
}
