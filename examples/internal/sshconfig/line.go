package sshconfig

import (
	"errors"
	"fmt"
	"strings"
)

// A Setting is one line of a configuration.
type Setting struct {
	Key   string   // in lower case
	Words []string // the arguments, without their quotes
	Text  string   // the arguments as written, for options that take the rest of the line
	From  string   // its origin for messages, such as a file and line
}

const blanks = " \t\r\n"

// ParseLine reads a line, or the argument of ssh's -o. It returns false for an
// empty line and for a comment.
func ParseLine(line, from string) (s Setting, ok bool, err error) {
	line = strings.TrimRight(strings.TrimLeft(line, blanks), blanks+"\f")
	if line == "" || line[0] == '#' {
		return Setting{}, false, nil
	}
	key, rest, err := cutKey(line)
	if err != nil {
		return Setting{}, false, fmt.Errorf("%s: %w", from, err)
	}
	if rest == "" {
		return Setting{}, false, fmt.Errorf("%s: %q has no value", from, key)
	}
	words, err := Split(rest)
	if err != nil {
		return Setting{}, false, fmt.Errorf("%s: %s: %w", from, key, err)
	}
	return Setting{Key: strings.ToLower(key), Words: words, Text: rest, From: from}, true, nil
}

// cutKey cuts off the keyword. It ends at blanks, or at one equals sign with or
// without blanks around it. A part of it may be in double quotes.
func cutKey(line string) (key, rest string, err error) {
	end := strings.IndexAny(line, blanks+`"=`)
	if end < 0 {
		return line, "", nil
	}
	key, rest = line[:end], line[end+1:]
	switch {
	case line[end] == '"':
		quoted, after, ok := strings.Cut(rest, `"`)
		if !ok {
			return "", "", errQuote
		}
		return key + quoted, strings.TrimLeft(after, blanks), nil
	case line[end] == '=':
		return key, strings.TrimLeft(rest, blanks), nil
	}
	rest = strings.TrimLeft(rest, blanks)
	if after, ok := strings.CutPrefix(rest, "="); ok {
		rest = strings.TrimLeft(after, blanks)
	}
	return key, rest, nil
}

var errQuote = errors.New("a quote is not closed")

// Split splits a value into words as OpenSSH does since 8.7. Blanks and tabs
// separate words, unless they are in double or single quotes, which may begin
// within a word. A backslash escapes a quote, another backslash and, outside
// quotes, a blank; before any other character it is literal. A # begins a comment
// only at the beginning of a word.
func Split(s string) ([]string, error) {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return words, nil
		}
		var word strings.Builder
		var quote byte
		i := 0
	word:
		for ; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
			case quote == 0 && (c == ' ' || c == '\t'):
				break word
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errQuote
		}
		words, s = append(words, word.String()), s[i:]
	}
}
