package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestApplyRejectsOtherText(t *testing.T) {
	e := []edit{{"old", 2, "new"}}
	after, err := apply("old and old", e)
	require.NoError(t, err)
	assert.Equal(t, "new and new", after)
	for _, text := range []string{"", "old", "old old old"} {
		_, err := apply(text, e)
		assert.ErrorContains(t, err, "needs other edits", text)
	}
}

func TestWorse(t *testing.T) {
	left := leftOuts[0]
	c := comparison{
		bare: results{
			"a/b TestFine": "pass", "a/b TestFine/x": "pass", "a/b TestSub": "pass", "a/b TestSub/x/y": "pass",
			"a/b TestGone": "pass", "a/b TestSkips": "pass", "a/b TestBroken": "fail", "a/b TestOff": "skip",
			left.pkg + " " + left.test: "pass", left.pkg + " " + left.test + "/x": "pass",
		},
		marked: results{
			"a/b TestFine": "pass", "a/b TestFine/x": "pass", "a/b TestSub": "pass", "a/b TestSub/x/y": "fail",
			"a/b TestSkips": "skip", "a/b TestBroken": "fail", "a/b TestOff": "skip", "a/b TestNew": "fail",
		},
	}
	assert.Equal(t, []string{"a/b TestGone", "a/b TestNew", "a/b TestSkips", "a/b TestSub"}, c.worse())
}

func TestReportNeedsConnsAndPassedTests(t *testing.T) {
	require.NoError(t, report([]row{{pkg: "p", dialed: 1, passed: 1}}, nil, nil))
	assert.ErrorContains(t, report([]row{{pkg: "p", passed: 1}}, nil, nil), "no socket")
	assert.ErrorContains(t, report([]row{{pkg: "p", dialed: 1}}, nil, nil), "no test passed")
	assert.ErrorContains(t, report([]row{{pkg: "p", dialed: 1, unmarked: 1}}, nil, nil), "without the mark")
	assert.ErrorContains(t, report([]row{{pkg: "p", dialed: 1, passed: 1}}, []string{"p TestX"}, nil), "p TestX")
}

func TestExactly(t *testing.T) {
	assert.Equal(t, `^TestX$/^a\.b$`, exactly("TestX/a.b"))
}
