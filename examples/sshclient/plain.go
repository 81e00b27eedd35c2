package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain returns what a server says for a terminal, as ssh shows it: everything
// but printable characters, no-break spaces, tabs and the ends of lines is written out as in a
// string of Go. An escape sequence is shown, not obeyed.
func plain(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\t', r == '\u00a0', unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
