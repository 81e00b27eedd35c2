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

// A row is a line of the table: what one command did on a platform.
type row struct {
	platform, release, command string
	cells                      [columns]string
	notExecuted                string
}

// The columns of results.
const (
	asRoot = iota // also of systems without users
	asNobody
	twoProcessors
	columns
)

// secondPass is the suffix of the name of a platform for the second pass of
// .ci/kernels, whose log is a file of its own.
const secondPass = ", 2 processors"

// writeTable prints what ran where, as Markdown: a row for each command on a platform,
// and below the table the packages whose tests the commands ran.
func writeTable(w io.Writer, logs []platform) {
	var rows []*row
	var packages []string
	for _, p := range logs {
		title, second := strings.CutSuffix(p.title(), secondPass)
		r := &row{platform: title, release: strings.TrimPrefix(p.release, "go"), command: p.command, notExecuted: p.notExecuted}
		if i := slices.IndexFunc(rows, func(other *row) bool {
			return other.platform == r.platform && other.release == r.release && other.command == r.command
		}); i >= 0 {
			r = rows[i]
		} else {
			rows = append(rows, r)
		}
		for _, user := range p.users() {
			column, pass := asRoot, ""
			switch {
			case second:
				column, pass = twoProcessors, secondPass
			case user == "nobody":
				column = asNobody
			}
			cell, ran := p.results(user)
			r.cells[column] = cell
			command, _, _ := strings.Cut(p.command, " ")
			if line := fmt.Sprintf("`%s`%s: %s.", command, pass, ran); !slices.Contains(packages, line) {
				packages = append(packages, line)
			}
		}
	}
	fmt.Fprintln(w, "| platform | Go | as root | as nobody | two processors | command |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|---|")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %s | %s | `%s` |\n", r.platform, r.release, r.results(), r.command)
	}
	fmt.Fprintln(w)
	for _, line := range packages {
		fmt.Fprintln(w, "-", line)
	}
}

func (r *row) results() string {
	if r.notExecuted != "" {
		return "not executed: " + r.notExecuted + " | |"
	}
	return strings.Join(r.cells[:], " | ")
}

// results returns how many tests of a user passed, failed and were skipped, with the
// packages that failed, and a list of all packages. The names of programs are in
// backticks.
func (p platform) results(user string) (cell, packages string) {
	var names, failures []string
	var passed, failed, skipped int
	for _, r := range p.runs {
		if r.user != user {
			continue
		}
		name, program := strings.CutSuffix(r.pkg, program)
		if program {
			name = "`" + name + "`"
		}
		names = append(names, name)
		if r.failed() {
			failures = append(failures, name)
		}
		passed, failed, skipped = passed+r.passed, failed+len(r.fails), skipped+len(r.skips)
	}
	cell = fmt.Sprintf("%d / %d / %d", passed, failed, skipped)
	if len(failures) > 0 {
		cell += " FAIL: " + strings.Join(failures, ", ")
	}
	return cell, strings.Join(names, ", ")
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
