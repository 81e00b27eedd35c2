package sshconfig

import "strings"

// MatchPattern reports whether s matches the pattern, in which * matches any text
// and ? any one octet.
func MatchPattern(pattern, s string) bool {
	star, mark := -1, 0 // the last *, and the end of the text that it matches
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// MatchList reports whether s matches one of a list of patterns, separated by
// commas, and none that a ! precedes.
func MatchList(list, s string) bool {
	matched := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !MatchPattern(pattern, s) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// MatchHost is MatchList for host names: it ignores case.
func MatchHost(list, host string) bool {
	return MatchList(strings.ToLower(list), strings.ToLower(host))
}
