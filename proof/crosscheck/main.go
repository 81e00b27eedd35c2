// Crosscheck type-checks the packages of all modules and their tests for every
// system and architecture that Go knows:
//
//	GOWORK=off go run -C proof ./crosscheck
//
// It finds files, names, types and constants that are missing or do not fit on one
// of them, as a build and vet for each would. It takes a twentieth of the time,
// since it generates no code and does not check function bodies of other modules.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/godscp/godscp/proof/internal/checkout"
)

// A job is a set of packages that are built with one set of required versions.
type job struct {
	dir      string // from the root of the checkout
	env      []string
	patterns []string
}

func jobs() []job {
	alone := append(os.Environ(), "GOWORK=off")
	return []job{
		{".", checkout.Workspace(), []string{"./...", "./examples/..."}},
		{"integration", alone, []string{"./..."}},
		{"proof", alone, []string{"./..."}},
		{"dscpvet", alone, []string{"./..."}},
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	targets, err := targets()
	if err != nil {
		return err
	}
	root, err := checkout.Root(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs() {
		j.dir = filepath.Join(root, j.dir)
		if err := checkAll(targets, j); err != nil {
			return err
		}
	}
	fmt.Printf("type-checked for %d targets\n", len(targets))
	return nil
}

// A target is a GOOS and a GOARCH, as go tool dist list prints them.
type target struct{ os, arch string }

func targets() ([]target, error) {
	out, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		return nil, err
	}
	var ts []target
	for line := range strings.Lines(string(out)) {
		goos, goarch, ok := strings.Cut(strings.TrimSpace(line), "/")
		if !ok {
			return nil, fmt.Errorf("go tool dist list: %q", line)
		}
		ts = append(ts, target{goos, goarch})
	}
	return ts, nil
}

// checkAll joins the errors of all targets. It reports equal errors once, with the
// targets that have them.
func checkAll(targets []target, j job) error {
	files := newFiles()
	var mu sync.Mutex
	wrong := map[string][]string{} // the targets with an error
	var running sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, t := range targets {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := files.check(t, j); err != nil {
				mu.Lock()
				defer mu.Unlock()
				wrong[err.Error()] = append(wrong[err.Error()], t.os+"/"+t.arch)
			}
		})
	}
	running.Wait()
	var errs []error
	for text, where := range wrong {
		errs = append(errs, fmt.Errorf("%s:\n%s", strings.Join(where, " "), text))
	}
	return errors.Join(errs...)
}

// A pkg is the part of go list's output that is needed here.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

// own reports whether p is one of the packages to check, rather than one that they
// import.
func (p pkg) own() bool { return p.Module != nil && p.Module.Main }

// list returns the packages, their tests and all packages that these import, the
// imported ones first.
func list(t target, j job) ([]pkg, error) {
	args := []string{"list", "-e", "-deps", "-test", "-json=ImportPath,Name,Dir,GoFiles,ImportMap,Module,Error"}
	cmd := exec.Command("go", append(args, j.patterns...)...)
	cmd.Dir = j.dir
	cmd.Env = append(slices.Clone(j.env), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if err == io.EOF {
			return pkgs, nil
		}
		if err != nil {
			return nil, err
		}
		// Android and iOS link with the C compiler; nothing is linked here.
		if p.Error != nil && !strings.Contains(p.Error.Err, "requires external (cgo) linking") {
			return nil, errors.New(p.Error.Err)
		}
		pkgs = append(pkgs, p)
	}
}

// files parses each file once for all targets.
type files struct {
	fset   *token.FileSet
	mu     sync.Mutex
	parsed map[string]func() (*ast.File, error)
}

func newFiles() *files {
	return &files{fset: token.NewFileSet(), parsed: map[string]func() (*ast.File, error){}}
}

func (f *files) parse(path string) (*ast.File, error) {
	f.mu.Lock()
	once, ok := f.parsed[path]
	if !ok {
		once = sync.OnceValues(func() (*ast.File, error) {
			return parser.ParseFile(f.fset, path, nil, parser.SkipObjectResolution)
		})
		f.parsed[path] = once
	}
	f.mu.Unlock()
	return once()
}

func (f *files) check(t target, j job) error {
	pkgs, err := list(t, j)
	if err != nil {
		return err
	}
	checked := map[string]*types.Package{"unsafe": types.Unsafe}
	for _, p := range pkgs {
		// go test generates the main package of a test.
		if p.ImportPath == "unsafe" || p.Name == "main" && strings.HasSuffix(p.ImportPath, ".test") {
			continue
		}
		var wrong []error
		conf := types.Config{
			Importer:         importer{checked, p.ImportMap},
			Sizes:            types.SizesFor("gc", t.arch),
			IgnoreFuncBodies: !p.own(),
			FakeImportC:      true,
			Error: func(err error) {
				if p.own() {
					wrong = append(wrong, err)
				}
			},
		}
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			file, err := f.parse(filepath.Join(p.Dir, name))
			if err != nil {
				return err
			}
			parsed = append(parsed, file)
		}
		path, _, _ := strings.Cut(p.ImportPath, " ") // "x [x.test]" is x with its tests
		// An error in another module shows where its packages are used.
		checked[p.ImportPath], _ = conf.Check(path, f.fset, parsed, nil)
		if err := errors.Join(wrong...); err != nil {
			return err
		}
	}
	return nil
}

// importer finds the packages that have been checked already.
type importer struct {
	checked map[string]*types.Package
	mapped  map[string]string
}

// Import implements [types.Importer].
func (i importer) Import(path string) (*types.Package, error) {
	if to, ok := i.mapped[path]; ok {
		path = to
	}
	if p := i.checked[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("package %s was not listed", path)
}
