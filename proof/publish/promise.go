package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

var (
	// linked has the modules whose packages the new module's program may link.
	linked = []string{"example.com/stranger", library, "golang.org/x/net", "golang.org/x/sys"}
	// required has the modules that the library's go.mod may require directly. For
	// the new module, go list -m all may also list what their go.mod files require.
	required = []string{"golang.org/x/net", "golang.org/x/sys", "github.com/stretchr/testify"}
)

// checkGoMod compares the go.mod of a published module with the promise of README.
func checkGoMod(text []byte, m module) error {
	f, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return err
	}
	if f.Module == nil || f.Module.Mod.Path != m.path {
		return fmt.Errorf("go.mod is not that of %s", m.path)
	}
	if len(f.Replace) > 0 {
		return errors.New("go.mod: go install refuses a module with a replacement")
	}
	if m.path != library {
		return nil
	}
	var direct []string
	for _, r := range f.Require {
		if !r.Indirect {
			direct = append(direct, r.Mod.Path)
		}
	}
	return onlyKnown("go.mod", direct, required)
}

// requires returns the modules that a go.mod requires.
func requires(text []byte) ([]string, error) {
	f, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, r := range f.Require {
		paths = append(paths, r.Mod.Path)
	}
	return paths, nil
}

// onlyKnown returns an error if found has an element that is not in known.
func onlyKnown(what string, found, known []string) error {
	unknown := slices.DeleteFunc(slices.Clone(found), func(path string) bool { return slices.Contains(known, path) })
	if len(unknown) == 0 {
		return nil
	}
	return fmt.Errorf("%s: the library must not bring %s", what, strings.Join(unknown, ", "))
}

// paths returns the first words of the lines, each once.
func paths(lines string) []string {
	var paths []string
	for line := range strings.Lines(lines) {
		if words := strings.Fields(line); len(words) > 0 && !slices.Contains(paths, words[0]) {
			paths = append(paths, words[0])
		}
	}
	return paths
}
