package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A comparison is what became of a suite's tests, bare and marked.
type comparison struct {
	bare, marked results
	again        []string // what passed marked at the second attempt only
}

// compare runs the suite both ways. Tests with our conns that do worse get a
// second attempt, since many of others' tests have deadlines of milliseconds.
func (r *runner) compare() (c comparison, err error) {
	fmt.Fprintln(os.Stderr, "suites: bare:", strings.Join(r.packages, " "))
	if c.bare, _, err = r.test(false, "-skip="+elsewhere); err != nil {
		return c, err
	}
	skip := []string{elsewhere}
	for _, l := range leftOuts {
		if !slices.Contains(r.packages, l.pkg) {
			continue
		}
		if c.bare[l.pkg+" "+l.test] == "" {
			return c, fmt.Errorf("%s has no %s to leave out", l.pkg, l.test)
		}
		skip = append(skip, exactly(l.test))
	}
	skipping := "-skip=" + strings.Join(skip, "|")
	fmt.Fprintln(os.Stderr, "suites: marked:", strings.Join(r.packages, " "))
	if c.marked, _, err = r.test(true, skipping); err != nil {
		return c, err
	}
	first := c.worse()
	if len(first) == 0 {
		return c, nil
	}
	fmt.Fprintln(os.Stderr, "suites: once more:", strings.Join(first, ", "))
	var pattern []string
	for _, key := range first {
		_, test, _ := strings.Cut(key, " ")
		pattern = append(pattern, exactly(test))
		maps.DeleteFunc(c.marked, func(k, _ string) bool { return whole(k) == key })
	}
	second, said, err := r.test(true, skipping, "-run="+strings.Join(pattern, "|"))
	if err != nil {
		return c, err
	}
	maps.Copy(c.marked, second)
	still := c.worse()
	for _, key := range slices.Concat([]string{""}, still) {
		fmt.Fprint(os.Stderr, said[key])
	}
	c.again = slices.DeleteFunc(first, func(key string) bool { return slices.Contains(still, key) })
	return c, nil
}

// worse returns the tests that do worse marked than bare, in themselves or in a
// subtest. One that did not run at all does, unless it is left out.
func (c comparison) worse() (keys []string) {
	for key, bare := range c.bare {
		marked := c.marked[key]
		if bare != "fail" && marked != bare && marked != "pass" && !isLeftOut(key) {
			keys = append(keys, whole(key))
		}
	}
	for key, marked := range c.marked {
		if c.bare[key] == "" && marked == "fail" {
			keys = append(keys, whole(key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func isLeftOut(key string) bool {
	return slices.ContainsFunc(leftOuts, func(l leftOut) bool {
		return key == l.pkg+" "+l.test || strings.HasPrefix(key, l.pkg+" "+l.test+"/")
	})
}

// whole returns the name of the test that a subtest is in. Import paths have
// slashes, too, where test is a key.
func whole(key string) string {
	space := strings.IndexByte(key, ' ') + 1
	test, _, _ := strings.Cut(key[space:], "/")
	return key[:space] + test
}

// exactly returns the pattern of go test that matches a test and no other.
func exactly(test string) string {
	names := strings.Split(test, "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}
	return strings.Join(names, "/")
}
