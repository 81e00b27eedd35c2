package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long tests may take before they count as failed: a mutation can make a test
// hang.
const (
	patienceForOne = 2 * time.Minute
	patienceForAll = 10 * time.Minute
)

// A lab builds and runs tests in a temporary directory.
type lab struct {
	root string // of the module
	tmp  string
}

func newLab(root string) (*lab, error) {
	tmp, err := os.MkdirTemp("", "mutate")
	return &lab{root, tmp}, err
}

func (l *lab) close() { _ = os.RemoveAll(l.tmp) }

// baseline runs the tests that should fail, on unchanged sources: a test that fails
// there would seem to kill every mutation.
func (l *lab) baseline(ctx context.Context, ms []mutation) error {
	tests := map[string][]string{}
	for _, m := range ms {
		if pkg := m.testPkg(); !slices.Contains(tests[pkg], m.test) {
			tests[pkg] = append(tests[pkg], m.test)
		}
	}
	for pkg, names := range tests {
		bin := filepath.Join(l.tmp, path.Base(pkg)+".test")
		if out, err := l.build(ctx, bin, pkg); err != nil {
			return fmt.Errorf("without a mutation %s does not build: %w\n%s", pkg, err, out)
		}
		if out, err := l.test(ctx, bin, pkg, strings.Join(names, "|"), patienceForAll); err != nil {
			return fmt.Errorf("without a mutation the tests of %s fail: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// tryAll tries the mutations, several at once, and prints each result to standard
// error as it ends. The results are in the order of ms.
func (l *lab) tryAll(ctx context.Context, ms []mutation, parallel int) []result {
	results := make([]result, len(ms))
	slots := make(chan struct{}, max(parallel, 1))
	var running sync.WaitGroup
	for i, m := range ms {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			begin := time.Now()
			results[i] = l.try(ctx, m, filepath.Join(l.tmp, fmt.Sprint(i)))
			fmt.Fprintf(os.Stderr, "%3d %5.1fs %v\n", i+1, time.Since(begin).Seconds(), results[i])
		})
	}
	running.Wait()
	return results
}

// try tries one mutation. dir is for its files.
func (l *lab) try(ctx context.Context, m mutation, dir string) result {
	defer os.RemoveAll(dir)
	killer, err := l.killer(ctx, m, dir)
	return result{m, killer, errors.Join(err, ctx.Err())}
}

// killer returns the name of a test that fails, or "" if none does.
func (l *lab) killer(ctx context.Context, m mutation, dir string) (string, error) {
	mutated, err := m.apply(l.root)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, path.Base(m.file))
	if err := os.WriteFile(file, mutated, 0o644); err != nil {
		return "", err
	}
	replace := map[string]string{l.path(m.file): file}

	// The test that should fail, built without the files that it does not need.
	files, err := testFilesIn(l.path(m.testPkg()))
	if err != nil {
		return "", err
	}
	idle, err := without(files, m.test)
	if err != nil {
		return "", err
	}
	lean := maps.Clone(replace)
	for _, f := range idle {
		lean[f] = "" // the go command treats it as missing
	}
	bin, err := l.mutant(ctx, dir, m.testPkg(), lean)
	if err != nil {
		return "", err
	}
	if _, err := l.test(ctx, bin, m.testPkg(), m.test, patienceForOne); err != nil {
		return m.test, nil
	}

	for _, pkg := range m.noticing() {
		bin, err := l.mutant(ctx, dir, pkg, replace)
		if err != nil {
			return "", err
		}
		out, err := l.test(ctx, bin, pkg, ".*", patienceForAll)
		if err == nil {
			continue
		}
		// The machine may have been busy: the test has to fail again, alone.
		name := firstFailure(out)
		if _, err := l.test(ctx, bin, pkg, name, patienceForOne); err != nil {
			return name, nil
		}
	}
	return "", nil
}

// mutant builds the tests of a package with files replaced.
func (l *lab) mutant(ctx context.Context, dir, pkg string, replace map[string]string) (bin string, err error) {
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return "", err
	}
	bin = filepath.Join(dir, path.Base(pkg)+".test")
	if out, err := l.build(ctx, bin, pkg, "-overlay", overlay); err != nil {
		return "", fmt.Errorf("does not compile: %w\n%s", err, out)
	}
	return bin, nil
}

// path turns a slash-separated path from the root of the module into one of the
// system.
func (l *lab) path(name string) string { return filepath.Join(l.root, filepath.FromSlash(name)) }

// build makes the test binary of a package.
func (l *lab) build(ctx context.Context, bin, pkg string, flags ...string) (string, error) {
	args := slices.Concat([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", bin}, flags, []string{pkg})
	return runIn(exec.CommandContext(ctx, "go", args...), l.root)
}

// test runs the tests whose whole name the regexp matches, in the directory of their
// package, as the go command does.
func (l *lab) test(ctx context.Context, bin, pkg, names string, patience time.Duration) (string, error) {
	cmd := exec.CommandContext(ctx, bin, "-test.failfast", "-test.timeout="+patience.String(), "-test.run=^("+names+")$")
	return runIn(cmd, l.path(pkg))
}

// runIn runs a command to its end and returns its output.
func runIn(cmd *exec.Cmd, dir string) (string, error) {
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.WaitDelay = time.Second // a grandchild may hold the output open
	err := cmd.Run()
	return out.String(), err
}
