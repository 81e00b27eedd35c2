package dscpvet

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// A silence is a //nolint comment and the lines that it applies to.
type silence struct {
	file        string
	first, last int
	reason      bool
}

// silences returns the //nolint comments that name dscpvet, or no linter at all. A
// comment applies to its line, to the line below if it is alone on its line, to the
// whole declaration if it is in a doc comment, and to the whole file if it is above
// the package clause.
func silences(pass *analysis.Pass) []silence {
	var all []silence
	for _, f := range pass.Files {
		code := codeLines(pass.Fset, f)
		for _, group := range f.Comments {
			for _, c := range group.List {
				reason, ok := nolint(c.Text)
				if !ok {
					continue
				}
				at := pass.Fset.Position(c.Pos())
				s := silence{file: at.Filename, first: at.Line, last: at.Line, reason: reason}
				switch decl := documented(f, group); {
				case c.Pos() < f.Package:
					s.last = pass.Fset.Position(f.FileEnd).Line
				case decl != nil:
					s.last = pass.Fset.Position(decl.End()).Line
				case !code[at.Line]:
					s.last++
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// nolint reports whether a comment is a //nolint comment for this analyzer, and
// whether it gives a reason.
func nolint(text string) (reason, ok bool) {
	rest, ok := strings.CutPrefix(text, "//nolint")
	if !ok {
		return false, false
	}
	names, why, _ := strings.Cut(rest, " ")
	switch list, named := strings.CutPrefix(names, ":"); {
	case named:
		linters := strings.Split(list, ",")
		if !slices.Contains(linters, "dscpvet") && !slices.Contains(linters, "all") {
			return false, false
		}
	case names != "": // another word, as in //nolintfoo
		return false, false
	}
	return strings.Trim(why, "/ \t") != "", true
}

// documented returns the declaration that a comment belongs to, or nil.
func documented(f *ast.File, group *ast.CommentGroup) ast.Decl {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == group {
				return d
			}
		case *ast.GenDecl:
			if d.Doc == group {
				return d
			}
		}
	}
	return nil
}

// codeLines returns the lines on which a statement, a field or an element
// starts or ends.
func codeLines(fset *token.FileSet, f *ast.File) map[int]bool {
	lines := make(map[int]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n.(type) {
		case nil, *ast.Comment, *ast.CommentGroup:
			return false
		case *ast.File, *ast.BlockStmt:
			return true
		}
		lines[fset.Position(n.Pos()).Line] = true
		lines[fset.Position(n.End()).Line] = true
		return true
	})
	return lines
}
