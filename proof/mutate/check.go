package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
)

// check compares the table with the sources, which may have changed: the text that a
// mutation replaces must occur, the result must be Go, and the test that should fail
// must exist. The error has everything that is wrong.
func check(root string, ms []mutation) error {
	var errs []error
	tests := map[string][]testFile{} // by package
	seen := map[string]bool{}
	for _, m := range ms {
		name := m.part + ": " + m.rule + ": " + m.how
		wrong := func(err error) { errs = append(errs, fmt.Errorf("%s: %w", name, err)) }
		if m.part == "" || m.rule == "" || m.how == "" || m.test == "" {
			wrong(errors.New("has no part, rule, change or test"))
		}
		if seen[name] {
			wrong(errors.New("occurs twice"))
		}
		seen[name] = true
		if m.old == m.new {
			wrong(errors.New("changes nothing"))
		}
		mutated, err := m.apply(root)
		if err != nil {
			wrong(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, mutated, parser.SkipObjectResolution); err != nil {
			wrong(err)
		}
		pkg := m.testPkg()
		if tests[pkg] == nil {
			if tests[pkg], err = testFilesIn(filepath.Join(root, pkg)); err != nil {
				wrong(err)
				continue
			}
		}
		if _, err := without(tests[pkg], m.test); err != nil {
			wrong(err)
		}
	}
	return errors.Join(errs...)
}
