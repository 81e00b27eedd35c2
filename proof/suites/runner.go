package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A runner runs one suite.
type runner struct {
	suite
	modfile string
	overlay string
	tallies map[string]string // files, by import path
}

// newRunner prepares a suite in dir, a directory that does not exist yet.
func newRunner(s suite, src, dir string) (*runner, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	r := &runner{suite: s, tallies: map[string]string{}}
	root := src
	if s.module != "" {
		root = filepath.Join(dir, "module")
		var err error
		if r.modfile, err = copyModule(s.module, root, dir); err != nil {
			return nil, err
		}
	}
	o := newOverlay(dir)
	if err := o.patchNet(src); err != nil {
		return nil, err
	}
	for i, p := range s.packages {
		pkg := path.Join(s.module, p)
		r.packages[i] = pkg
		r.tallies[pkg] = filepath.Join(dir, fmt.Sprint("tally", i))
		if err := o.hook(filepath.Join(root, filepath.FromSlash(p)), path.Base(p), r.tallies[pkg]); err != nil {
			return nil, err
		}
		if err := os.WriteFile(r.tallies[pkg], nil, 0o666); err != nil {
			return nil, err
		}
	}
	var err error
	r.overlay, err = o.write()
	return r, err
}

// copyModule copies the version of a module that go.mod requires to root, since
// -overlay does not replace files in the module cache. It returns the name of a go.mod in
// dir that uses the copy.
func copyModule(module, root, dir string) (modfile string, err error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("go mod download: %w: %s", err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", err
	}
	if err := os.CopyFS(root, os.DirFS(m.Dir)); err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	modfile = filepath.Join(dir, "go.mod")
	return modfile, exec.Command("go", "mod", "edit", "-replace="+module+"="+root, modfile).Run()
}

// results has "pass", "fail" or "skip" for each test. A key is an import path, a
// space and the test's name.
type results map[string]string

// test runs the suite, marked or bare. It also returns the output of each test, with
// that of its subtests; output of the compiler is under the empty key. A test that
// did not end is an error, since other tests of its package may not have run.
func (r *runner) test(marked bool, packages []string, flags ...string) (found results, said map[string]string, err error) {
	args := []string{"test", "-json", "-vet=off", "-count=1", "-timeout=20m"}
	if marked {
		args = append(args, "-overlay="+r.overlay)
	}
	if r.modfile != "" {
		args = append(args, "-modfile="+r.modfile, "-mod=mod")
	}
	if r.run != "" {
		args = append(args, "-run="+r.run)
	}
	cmd := exec.Command("go", slices.Concat(args, flags, packages)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if len(out) == 0 {
		return nil, nil, err
	}
	err = nil // failing tests are not an error here
	found, said = results{}, map[string]string{}
	running := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var e struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&e); err != nil {
			return nil, nil, err
		}
		if e.Test != "" || e.Package == "" {
			said[whole(strings.TrimSpace(e.Package+" "+e.Test))] += e.Output
		}
		if strings.HasPrefix(e.Output, "panic: test timed out") {
			err = errors.Join(err, fmt.Errorf("%s: %s", e.Package, e.Output))
		}
		if e.Test == "" {
			continue
		}
		switch key := e.Package + " " + e.Test; e.Action {
		case "run":
			running[key] = true
		case "pass", "fail", "skip":
			delete(running, key)
			found[key] = e.Action
		}
	}
	for key := range running {
		fmt.Fprint(os.Stderr, said[whole(key)])
		err = errors.Join(err, fmt.Errorf("did not end: %s", key))
	}
	if err != nil {
		return nil, nil, err
	}
	return found, said, nil
}
