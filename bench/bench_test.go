package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	runChild() // the tests start this program as children, too
	os.Exit(m.Run())
}

// TestDocument makes tiny measurements and checks that the published document then has
// every table with every row.
func TestDocument(t *testing.T) {
	published, err := os.ReadFile("../docs/performance.md")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, os.WriteFile(path, published, 0o600))
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-quick", "-o", path}, &out, &progress), "%s", &progress)
	assert.Empty(t, out.String())
	document, err := os.ReadFile(path)
	require.NoError(t, err)
	rows := map[string][]string{}
	for _, s := range sections {
		begin, end := marks(s.name)
		_, rest, _ := strings.Cut(string(document), begin)
		body, _, ok := strings.Cut(rest, end)
		require.True(t, ok, s.name)
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "| ") {
				rows[s.name] = append(rows[s.name], line)
			}
		}
		assert.NotContains(t, body, "NaN", s.name)
		if os.Getenv("CI") != "" {
			assert.NotContains(t, body, "not counted", "%s: CI needs strace", s.name)
		}
	}
	const head = 2
	assert.Len(t, rows["dial"], 2*(head+len(dialers)))
	assert.Len(t, rows["accept"], 2*(head+len(listeners)))
	assert.Len(t, rows["memory"], head+3)
	assert.Len(t, rows["copy"], head+len(copies))
	assert.Len(t, rows["setdscp"], head+len(changes))
	lab := strings.Join(rows["lab"], "")
	for _, path := range []string{"no relay", "plain relay: ", "plain relay again", "dscptest, no model", "dscptest, `VMware`", "toxiproxy", "tcpproxy"} {
		assert.GreaterOrEqual(t, strings.Count(lab, "| "+path), 2, "%s: a row for each family", path)
	}
	for _, row := range rows["memory"] {
		if strings.Contains(row, "| pinned") {
			assert.Contains(t, row, " 200 of 200 ")
		}
	}
}

func TestRunPrintsOneSection(t *testing.T) {
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-quick", "-run", "^setdscp$"}, &out, &progress), "%s", &progress)
	assert.True(t, strings.HasPrefix(out.String(), "## A refused change\n\n| "), "%s", &out)
	assert.Equal(t, 1, strings.Count(out.String(), "## "))
}
