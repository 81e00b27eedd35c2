package main

import (
	"errors"
	"strings"
)

// splitWords splits a value at white space. Double quotes keep what is between
// them together.
func splitWords(s string) ([]string, error) {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "":
			return words, nil
		case s[0] == '"':
			word, rest, ok := strings.Cut(s[1:], `"`)
			if !ok {
				return nil, errors.New("a double quote is missing")
			}
			words, s = append(words, word), rest
		default:
			end := strings.IndexAny(s, " \t\"")
			if end < 0 {
				end = len(s)
			}
			words, s = append(words, s[:end]), s[end:]
		}
	}
}
