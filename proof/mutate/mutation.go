package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A mutation breaks one rule.
type mutation struct {
	part string // the heading in the table
	rule string // the promise
	how  string // the fault
	file string // slash-separated, from the root of the module
	old  string // occurs in file exactly once
	new  string
	test string // that should fail
	in   string // the directory of the test's package, if it is not that of file
}

// table has all mutations.
var table = slices.Concat(
	markRules, pinRules, connRules, udpConnRules, datagramRules, xnetRules, guardRules, sealRules, fallbackRules, memoryRules,
	dialerRules, listenRules, reflectRules, errorRules, codePointRules, natSafeRules, ipqosRules,
	optionRules, controlRules, platformRules, hookRules,
)

// part sets the heading of mutations.
func part(name string, ms ...mutation) []mutation {
	for i := range ms {
		ms[i].part = name
	}
	return ms
}

// pkg returns the package that m is in, as the go command takes it.
func (m mutation) pkg() string { return "./" + path.Dir(m.file) }

// testPkg returns the package of the test that should fail.
func (m mutation) testPkg() string {
	if m.in != "" {
		return "./" + m.in
	}
	return m.pkg()
}

// noticing returns the packages whose tests can find m, its own first: package dscp
// is built on all the others.
func (m mutation) noticing() []string {
	if m.pkg() == "./dscp" {
		return []string{"./dscp"}
	}
	return []string{m.pkg(), "./dscp"}
}

// apply returns the file with the mutation in it.
func (m mutation) apply(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return nil, fmt.Errorf("%s: the text to replace occurs %d times, not once: %q", m.file, n, m.old)
	}
	return []byte(strings.Replace(string(source), m.old, m.new, 1)), nil
}
