package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]outcome{
		"": {},
		"fuzz: elapsed: 0s, gathering baseline coverage: 0/3 completed\n" +
			"fuzz: elapsed: 3s, execs: 5674 (1891/sec), new interesting: 56 (total: 59)\n" +
			"fuzz: elapsed: 1m3s, execs: 50648 (5876/sec), new interesting: 195 (total: 198)\nPASS\n": {executions: 50648, fresh: 195},
	} {
		assert.Equal(t, want, parse(text))
	}
}

func TestRanOut(t *testing.T) {
	const late = "fuzz: elapsed: 3s, execs: 9 (0/sec), new interesting: 1 (total: 2)\n--- FAIL: FuzzIt (3.20s)\n    context deadline exceeded\nFAIL\n"
	assert.True(t, ranOut(late))
	assert.False(t, ranOut("--- FAIL: FuzzIt (0.09s)\n    it_test.go:9: boom\nFAIL\n"))
	assert.False(t, ranOut(late+"    Failing input written to testdata/fuzz/FuzzIt/c2501043394e49f2\n"))
}

func TestKeep(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "testdata", "fuzz", "FuzzIt")
	n, err := keep(filepath.Join(from, "none"), to, 3)
	require.NoError(t, err)
	assert.Zero(t, n)
	for i := range 9 {
		require.NoError(t, os.WriteFile(filepath.Join(from, fmt.Sprint("input", i)), bytes.Repeat([]byte("x"), i*150), 0o600))
	}
	require.NoError(t, os.MkdirAll(to, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(to, "crasher"), nil, 0o600))
	for _, want := range []int{3, 0} { // then there is no room
		n, err = keep(from, to, 4)
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	entries, err := os.ReadDir(to)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"crasher", "input0", "input2", "input4"}, names, "of those that are not too large")
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	report(&b, []outcome{
		{target: target{pkg: "github.com/godscp/godscp/dscp", name: "FuzzParse"}, executions: 7, fresh: 2},
		{target: target{pkg: "github.com/godscp/godscp/dscp/dscptest", name: "FuzzChain"}, err: errors.New("exit status 1")},
	})
	lines := strings.Split(b.String(), "\n")
	assert.Equal(t, []string{"dscp", "FuzzParse", "7", "2", "0"}, strings.Fields(lines[1]))
	assert.Equal(t, []string{"dscp/dscptest", "FuzzChain", "0", "0", "1"}, strings.Fields(lines[2]))
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-p", "0"}, {"-for", "0"}, {"-bogus"}} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), args, &stdout, &stderr))
		assert.NotEmpty(t, stderr.String())
		assert.Empty(t, stdout.String())
	}
}

func TestHasTargets(t *testing.T) {
	for text, want := range map[string]bool{
		"package it\n\nfunc FuzzIt(f *testing.F) {}\n": true,
		"package it\n\nfunc TestIt(t *testing.T) {}\n": false,
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "it_test.go"), []byte(text), 0o600))
		got, err := hasTargets(dir)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
}
