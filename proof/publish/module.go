package main

import (
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// A module is a published module.
type module struct {
	dir     string // slash-separated, from the root of the checkout
	path    string
	version string
}

// readModules returns the modules in dirs, at the version of the library that the
// go.mod of the examples requires.
func readModules(examples string) ([]module, error) {
	text, err := os.ReadFile(examples)
	if err != nil {
		return nil, err
	}
	f, err := modfile.Parse(examples, text, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range f.Require {
		if r.Mod.Path != library {
			continue
		}
		var modules []module
		for _, dir := range dirs {
			modules = append(modules, module{dir, path.Join(library, dir), r.Mod.Version})
		}
		return modules, nil
	}
	return nil, fmt.Errorf("%s does not require %s", examples, library)
}

// tag returns the name of the module's tag for a version.
func (m module) tag(version string) string {
	if m.dir == "." {
		return version
	}
	return m.dir + "/" + version
}

// programs returns the import paths of the module's commands.
func (m module) programs(root string) ([]string, error) {
	top := filepath.Join(root, filepath.FromSlash(m.dir))
	var programs []string
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if file != top {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				return fs.SkipDir // another module
			}
		}
		if name := d.Name(); file != top && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "internal") {
			return fs.SkipDir
		}
		p, err := build.ImportDir(file, 0)
		var none *build.NoGoError
		if err != nil && !errors.As(err, &none) {
			return err
		}
		if p.Name == "main" {
			rel, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			programs = append(programs, path.Join(library, filepath.ToSlash(rel)))
		}
		return nil
	})
	return programs, err
}
