package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

// A testFile is a test file, with the names that connect it to others.
type testFile struct {
	path     string
	pkg      string   // dscp or dscp_test
	declares []string // includes methods of types that are declared elsewhere
	mentions map[string]bool
}

// testFilesIn reads the test files in a directory.
func testFilesIn(dir string) ([]testFile, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var files []testFile
	for _, path := range paths {
		f, err := readTestFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// without returns the paths of the files that a test does not need. Building them
// would take most of a mutation's time. Every test needs the file with TestMain.
func without(files []testFile, test string) ([]string, error) {
	var idle, needed []testFile // needed grows while it is walked
	for _, f := range files {
		if slices.Contains(f.declares, test) || slices.Contains(f.declares, "TestMain") {
			needed = append(needed, f)
		} else {
			idle = append(idle, f)
		}
	}
	if !slices.ContainsFunc(needed, func(f testFile) bool { return slices.Contains(f.declares, test) }) {
		return nil, fmt.Errorf("there is no %s", test)
	}
	for i := 0; i < len(needed); i++ {
		idle = slices.DeleteFunc(idle, func(f testFile) bool {
			tied := slices.ContainsFunc(f.declares, func(name string) bool {
				visible := needed[i].pkg == f.pkg || needed[i].pkg == f.pkg+"_test" && ast.IsExported(name)
				return visible && needed[i].mentions[name]
			})
			if tied {
				needed = append(needed, f)
			}
			return tied
		})
	}
	var names []string
	for _, f := range idle {
		names = append(names, f.path)
	}
	return names, nil
}

func readTestFile(path string) (testFile, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return testFile{}, err
	}
	f := testFile{path: path, pkg: parsed.Name.Name, mentions: map[string]bool{}}
	localTypes := typesIn(parsed)
	for _, decl := range parsed.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || !localTypes[receiver(d)] {
				f.declares = append(f.declares, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					f.declares = append(f.declares, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						f.declares = append(f.declares, name.Name)
					}
				}
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			f.mentions[id.Name] = true
		}
		return true
	})
	return f, nil
}

// typesIn returns the names of the types that a file declares.
func typesIn(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, decl := range f.Decls {
		if d, ok := decl.(*ast.GenDecl); ok {
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					names[s.Name.Name] = true
				}
			}
		}
	}
	return names
}

// receiver returns the name of the type that a method is of.
func receiver(d *ast.FuncDecl) (name string) {
	ast.Inspect(d.Recv, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok {
			ast.Inspect(field.Type, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && name == "" {
					name = id.Name
				}
				return name == ""
			})
		}
		return name == ""
	})
	return name
}
