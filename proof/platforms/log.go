package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// A platform is the content of one log. A log has the output of `go test -v`
// between lines that begin with "@@ ":
//
//	@@ kernel 5.10.0-32-cloud-amd64 amd64   or
//	@@ system js/wasm under node v20        or
//	@@ release go1.27.0
//	@@ go go1.26.8
//	@@ command .ci/kernels bullseye
//	@@ begin dscp root
//	=== RUN   TestControl
//	...
//	@@ end dscp root 0                      (the exit status)
//	@@ again dscp root                      (a second attempt of failed tests)
//	...
//	@@ end dscp root 0
//	@@ not executed: reason
//	@@ failed: reason
//	@@ done
type platform struct {
	kind, name  string
	release     string // of Go
	command     string
	runs        []*run
	notExecuted string
	failures    []string // of the platform itself
	done        bool
}

// A run is the tests of one package, run by one user.
type run struct {
	pkg, user string
	passed    int
	fails     []string // top-level tests
	again     []string // tests that passed at the second attempt
	skips     []skip
	status    string // the exit status; "" if the run did not end
}

// A skip is a test that was skipped. The reason is "" if the test gave none.
type skip struct{ test, reason string }

func (p platform) failed() bool {
	if p.notExecuted != "" {
		return false
	}
	if !p.done || len(p.failures) > 0 {
		return true
	}
	for _, r := range p.runs {
		if r.failed() {
			return true
		}
	}
	return false
}

func (r *run) failed() bool {
	return r.status != "0" || len(r.fails) > 0 || r.empty()
}

// empty reports whether no test ran, in a package that has tests.
func (r *run) empty() bool {
	return !strings.HasSuffix(r.pkg, program) && r.passed+len(r.fails)+len(r.skips) == 0
}

// program is the suffix for a program that is run itself, without tests.
const program = ":main"

var (
	heading = regexp.MustCompile(`^ *=== (?:RUN|NAME|CONT) +(\S+)$`)
	outcome = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+)`)
	said    = regexp.MustCompile(`^ *\w+\.go:\d+: (.*)$`)
)

// elsewhere is what package testns logs for a test whose child was skipped.
const elsewhere = "skipped in its namespace"

// read reads a log.
func read(r io.Reader) (platform, error) {
	var p platform
	var current *run
	var test string                // whose output follows
	reasons := map[string]string{} // the last line that a test logged
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		// The kernel may have written before it. A diff that testify prints has "@@ -1 +1 @@".
		if _, marked, ok := strings.Cut(line, "@@ "); ok && !strings.HasPrefix(marked, "-") {
			word, rest, _ := strings.Cut(marked, " ")
			fields := strings.Fields(rest)
			switch {
			case word == "kernel" && p.kind == "", word == "system", word == "release":
				p.kind, p.name = word, rest
			case word == "kernel", word == "failed:":
				p.failures = append(p.failures, rest)
			case word == "go":
				p.release = rest
			case word == "command":
				p.command = rest
			case word == "not":
				p.notExecuted = strings.TrimPrefix(rest, "executed: ")
			case word == "done":
				p.done = true
			case word == "begin" && len(fields) == 2:
				current, test = &run{pkg: fields[0], user: fields[1]}, ""
				clear(reasons)
				p.runs = append(p.runs, current)
			case word == "again" && current != nil:
				current.again, current.fails = current.fails, nil
				current.status, test = "", ""
			case word == "end" && len(fields) == 3 && current != nil:
				current.status = fields[2]
				current.settle()
				test = ""
			default:
				return p, fmt.Errorf("unknown line %q", line)
			}
			continue
		}
		if current == nil {
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			test = m[1]
			continue
		}
		if m := outcome.FindStringSubmatch(line); m != nil {
			current.add(m[2], m[3], m[1] == "", reasons)
			continue
		}
		if m := said.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], elsewhere) && !strings.HasPrefix(m[1], "in a new namespace") {
			reasons[test] = m[1]
		}
	}
	if err := lines.Err(); err != nil {
		return p, err
	}
	if p.kind == "" {
		return p, errors.New("the log names no kernel, system or release")
	}
	return p, nil
}

// add counts the result of a test. Of subtests only skips count, and of tests that
// a child process ran, skips of subtests: other results show in the parent test.
func (r *run) add(what, test string, top bool, reasons map[string]string) {
	sub := strings.Contains(test, "/")
	switch {
	case what == "SKIP" && (top || sub):
		r.skips = append(r.skips, skip{test, reasons[test]})
	case !top:
	case what == "PASS":
		r.passed++
	case what == "FAIL":
		r.fails = append(r.fails, test)
	}
}

// settle removes the tests from again that failed at the second attempt, too.
func (r *run) settle() {
	var passed []string
	for _, test := range r.again {
		failed := false
		for _, f := range r.fails {
			failed = failed || f == test
		}
		if !failed {
			passed = append(passed, test)
		}
	}
	r.again = passed
}
