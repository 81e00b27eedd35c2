package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlain(t *testing.T) {
	for s, want := range map[string]string{
		"two\r\nlines\t→ é 漢\n":        "two\nlines\t→ é 漢\n",
		"\x1b]0;title\a":               `\x1b]0;title\x07`,
		"over\rwritten":                `over\x0dwritten`,
		"\x9b31m\xff":                  `\x9b31m\xff`,
		"\u009b31m, \u202egnorw\ufeff": `\u009b31m, \u202egnorw\ufeff`,
		"\U000e0041 \uFFFD":            `\U000e0041 ` + "\uFFFD",
	} {
		assert.Equal(t, want, plain(s))
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("\x1b[2J\r\n\u009b \xff \u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s)
		require.True(t, utf8.ValidString(got))
		for _, r := range got {
			require.True(t, r == '\n' || r == '\t' || r == '\u00a0' || unicode.IsPrint(r), "%U of %q", r, s)
		}
		require.Equal(t, strings.Count(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), strings.Count(got, "\n"))
		require.Equal(t, got, plain(got), "once is enough")
	})
}
