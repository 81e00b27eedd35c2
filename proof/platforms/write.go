package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// writeReport prints a line for each run, with what failed and what was skipped.
func writeReport(w io.Writer, logs []platform) {
	for _, p := range logs {
		if p.notExecuted != "" {
			fmt.Fprintf(w, "not executed  %s: %s\n", p.title(), p.notExecuted)
			continue
		}
		for _, r := range p.runs {
			fmt.Fprintf(w, "%-5s %-40s %-33s %-7s %3d passed, %d failed, %d skipped\n",
				r.result(), p.title(), r.pkg, r.user, r.passed, len(r.fails), len(r.skips))
			for _, f := range r.fails {
				fmt.Fprintf(w, "      failed: %s\n", f)
			}
			switch {
			case r.status == "":
				fmt.Fprintln(w, "      did not end")
			case r.status != "0" && len(r.fails) == 0:
				fmt.Fprintf(w, "      exit status %s\n", r.status)
			case r.empty():
				fmt.Fprintln(w, "      no test ran")
			}
			for _, a := range r.again {
				fmt.Fprintf(w, "      passed at the second attempt: %s\n", a)
			}
			for _, s := range r.skippedBy() {
				fmt.Fprintf(w, "      skipped: %s\n", s)
			}
		}
		for _, f := range p.failures {
			fmt.Fprintf(w, "FAIL  %s: %s\n", p.title(), f)
		}
		if !p.done {
			fmt.Fprintf(w, "FAIL  %s: did not end\n", p.title())
		}
	}
}

func (r *run) result() string {
	if r.failed() {
		return "FAIL"
	}
	return "ok"
}

// address matches the part in which reasons of the same kind differ.
var address = regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):\d+`)

// skippedBy returns the reasons for which tests were skipped, with the names of the
// tests; for many tests with one reason, three names and the number of the others.
func (r *run) skippedBy() []string {
	const most = 3
	var reasons []string
	tests := map[string][]string{}
	for _, s := range r.skips {
		reason := address.ReplaceAllString(s.reason, "$1")
		if reason == "" {
			reason = "no reason given"
		}
		if tests[reason] == nil {
			reasons = append(reasons, reason)
		}
		tests[reason] = append(tests[reason], s.test)
	}
	for i, reason := range reasons {
		names := tests[reason]
		more := ""
		if len(names) > most {
			names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
		}
		reasons[i] = strings.Join(names, ", ") + more + ": " + reason
	}
	return reasons
}

func (p platform) title() string {
	if p.kind == "kernel" {
		return "Linux " + p.name
	}
	return p.name
}

// writeTable prints what ran where, as Markdown: a row for each user on a platform.
func writeTable(w io.Writer, logs []platform) {
	fmt.Fprintln(w, "| platform | Go | packages, and programs themselves | as | passed | failed | skipped | command |")
	fmt.Fprintln(w, "|---|---|---|---|--:|--:|--:|---|")
	for _, p := range logs {
		release := strings.TrimPrefix(p.release, "go")
		if p.notExecuted != "" {
			fmt.Fprintf(w, "| %s | %s | not executed: %s | | | | | `%s` |\n", p.title(), release, p.notExecuted, p.command)
			continue
		}
		for _, user := range p.users() {
			var packages []string
			var passed, failed, skipped int
			for _, r := range p.runs {
				if r.user != user {
					continue
				}
				name := strings.TrimSuffix(r.pkg, program)
				if name != r.pkg {
					name = "`" + name + "`"
				}
				if r.failed() {
					name += " (FAIL)"
				}
				packages = append(packages, name)
				passed, failed, skipped = passed+r.passed, failed+len(r.fails), skipped+len(r.skips)
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %d | %d | `%s` |\n", p.title(), release,
				strings.Join(packages, ", "), user, passed, failed, skipped, p.command)
		}
	}
}

// users returns who ran tests, in the order in which they began.
func (p platform) users() []string {
	var users []string
	for _, r := range p.runs {
		if !slices.Contains(users, r.user) {
			users = append(users, r.user)
		}
	}
	return users
}
