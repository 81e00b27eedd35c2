package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A comparison has the results of a suite's tests, bare and marked.
type comparison struct {
	bare, marked results
	again        []string // tests that passed marked only at the second attempt
}

// compare runs the suite both ways. A test that fails bare, or does worse marked,
// gets a second attempt, since many of these tests have deadlines of milliseconds.
func (r *runner) compare() (c comparison, err error) {
	if c.bare, _, err = r.test(false, r.packages, "-skip="+elsewhere); err != nil {
		return c, fmt.Errorf("bare: %w", err)
	}
	if failed := c.failed(); len(failed) > 0 {
		fmt.Fprintln(os.Stderr, "suites: bare, once more:", strings.Join(failed, ", "))
		if _, err := r.retry(false, failed, c.bare, "-skip="+elsewhere); err != nil {
			return c, fmt.Errorf("bare: %w", err)
		}
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
	if c.marked, _, err = r.test(true, r.packages, skipping); err != nil {
		return c, fmt.Errorf("marked: %w", err)
	}
	first := c.worse()
	if len(first) == 0 {
		return c, nil
	}
	fmt.Fprintln(os.Stderr, "suites: marked, once more:", strings.Join(first, ", "))
	said, err := r.retry(true, first, c.marked, skipping)
	if err != nil {
		return c, fmt.Errorf("marked: %w", err)
	}
	still := c.worse()
	for _, key := range slices.Concat([]string{""}, still) {
		fmt.Fprint(os.Stderr, said[key])
	}
	c.again = slices.DeleteFunc(first, func(key string) bool { return slices.Contains(still, key) })
	return c, nil
}

// retry runs the tests with these keys again and puts the results, of subtests too,
// into old.
func (r *runner) retry(marked bool, keys []string, old results, skipping string) (said map[string]string, err error) {
	said = map[string]string{}
	for _, pkg := range r.packages {
		var pattern []string
		for _, key := range keys {
			if in, test, _ := strings.Cut(key, " "); in == pkg {
				pattern = append(pattern, exactly(test))
				maps.DeleteFunc(old, func(k, _ string) bool { return whole(k) == key })
			}
		}
		if len(pattern) == 0 {
			continue
		}
		found, says, err := r.test(marked, []string{pkg}, skipping, "-run="+strings.Join(pattern, "|"))
		if err != nil {
			return nil, err
		}
		maps.Copy(old, found)
		maps.Copy(said, says)
	}
	return said, nil
}

// failed returns the tests that failed bare, in themselves or in a subtest.
func (c comparison) failed() (keys []string) {
	for key, bare := range c.bare {
		if bare == "fail" {
			keys = append(keys, whole(key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// worse returns the tests that do worse marked than bare, in themselves or in a
// subtest. A test that did not run marked counts, unless it is left out.
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

// whole returns the key of the test that a subtest is in. The import path in a key
// has slashes, too.
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
