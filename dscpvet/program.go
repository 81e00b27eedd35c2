package dscpvet

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// A program is one package under analysis: its SSA form and the calls in it
// that set a mark.
type program struct {
	pass  *analysis.Pass
	funcs []*ssa.Function
	calls map[token.Pos]*ast.CallExpr // by the position of the left parenthesis
	marks []*mark

	stores  map[types.Object][]ssa.Value            // values that are assigned to a struct field or package variable
	callers map[*ssa.Function][]ssa.CallInstruction // calls by name in this package
	effects map[*ssa.Function][]effect
	setters map[*ssa.Function]*setsSockopt

	check    string // the check that runs
	tests    bool
	silenced []silence
}

// relevant reports whether a package can set a mark: SSA is only built then. The
// analyzer skips the packages that all others are built on, and godscp's library.
func relevant(pass *analysis.Pass) bool {
	switch path := pass.Pkg.Path(); {
	case path == "net", path == "syscall", path == "runtime",
		strings.HasPrefix(path, "internal/"), strings.HasPrefix(path, "vendor/"),
		strings.HasPrefix(path, "golang.org/x/net/"), strings.HasPrefix(path, "golang.org/x/sys/"),
		isGodscp(path):
		return false
	}
	for id, obj := range pass.TypesInfo.Uses {
		if marksByName(id.Name) {
			return true
		}
		if fn, ok := obj.(*types.Func); ok && fn.Pkg() != pass.Pkg {
			fn = fn.Origin()
			if pass.ImportObjectFact(fn, new(marksParameter)) || pass.ImportObjectFact(fn, new(setsSockopt)) {
				return true
			}
		}
		if v, ok := obj.(*types.TypeName); ok && v.Name() == "CodePoint" && v.Pkg() != nil && v.Pkg().Path() == dscpPath {
			return true
		}
		if obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == dscpPath {
			return true
		}
	}
	return false
}

// marksByName reports whether the name of an identifier is about marks or about
// socket options.
func marksByName(name string) bool {
	switch name {
	case "SetTOS", "SetTrafficClass", "IP_TOS", "IPV6_TCLASS", "TrafficClass", "SYS_SETSOCKOPT":
		return true
	}
	return strings.HasPrefix(name, "Setsockopt") || guessed(name)
}

const (
	godscpPath = "github.com/godscp/godscp"
	dscpPath   = godscpPath + "/dscp"
)

// isGodscp reports whether a package is part of the library, which contains the
// marking and the guard itself. Its examples are checked like any other program.
func isGodscp(path string) bool {
	for _, p := range []string{dscpPath, godscpPath + "/dialer", godscpPath + "/internal"} {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func newProgram(pass *analysis.Pass) *program {
	p := &program{
		pass:    pass,
		calls:   make(map[token.Pos]*ast.CallExpr),
		stores:  make(map[types.Object][]ssa.Value),
		callers: make(map[*ssa.Function][]ssa.CallInstruction),
		effects: make(map[*ssa.Function][]effect),
		setters: make(map[*ssa.Function]*setsSockopt),
	}
	for _, f := range pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				p.calls[call.Lparen] = call
			}
			return true
		})
	}
	p.build()
	p.index()
	p.findSetters()
	p.findMarks()
	return p
}

// build makes the SSA form of the package, as the buildssa pass does, but only
// for packages that need it.
func (p *program) build() {
	prog := ssa.NewProgram(p.pass.Fset, 0)
	for _, imported := range p.pass.Pkg.Imports() {
		prog.CreatePackage(imported, nil, nil, true)
	}
	pkg := prog.CreatePackage(p.pass.Pkg, p.pass.Files, p.pass.TypesInfo, false)
	pkg.Build()

	var add func(*ssa.Function)
	add = func(fn *ssa.Function) {
		p.funcs = append(p.funcs, fn)
		for _, anonymous := range fn.AnonFuncs {
			add(anonymous)
		}
	}
	for _, f := range p.pass.Files {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			obj, ok := p.pass.TypesInfo.Defs[decl.Name].(*types.Func)
			if !ok {
				continue
			}
			if fn := prog.FuncValue(obj); fn != nil {
				add(fn)
			}
		}
	}
	if init := pkg.Func("init"); init != nil { // initialises package variables
		add(init)
	}
}

// index records assignments to fields and package variables, and the callers of
// each function.
func (p *program) index() {
	for call := range p.allCalls() {
		if callee := call.Common().StaticCallee(); callee != nil {
			callee = generic(callee)
			p.callers[callee] = append(p.callers[callee], call)
		}
	}
	for instr := range p.instructions() {
		store, ok := instr.(*ssa.Store)
		if !ok {
			continue
		}
		switch addr := store.Addr.(type) {
		case *ssa.FieldAddr:
			if f := fieldOf(addr.X.Type(), addr.Field); f != nil {
				p.stores[f] = append(p.stores[f], store.Val)
			}
		case *ssa.Global:
			if addr.Object() != nil {
				p.stores[addr.Object()] = append(p.stores[addr.Object()], store.Val)
			}
		}
	}
}

// instructions yields all instructions of the package in source order.
func (p *program) instructions() func(yield func(ssa.Instruction) bool) {
	return func(yield func(ssa.Instruction) bool) {
		for _, fn := range p.funcs {
			for _, b := range fn.Blocks {
				for _, instr := range b.Instrs {
					if !yield(instr) {
						return
					}
				}
			}
		}
	}
}

// allCalls yields all calls, go and defer statements included.
func (p *program) allCalls() func(yield func(ssa.CallInstruction) bool) {
	return func(yield func(ssa.CallInstruction) bool) {
		for instr := range p.instructions() {
			if call, ok := instr.(ssa.CallInstruction); ok && !yield(call) {
				return
			}
		}
	}
}

// generic returns the generic function that fn is an instance of, or fn.
func generic(fn *ssa.Function) *ssa.Function {
	if o := fn.Origin(); o != nil {
		return o
	}
	return fn
}

// fieldOf returns the field with an index of a struct, or of what t points to.
func fieldOf(t types.Type, index int) *types.Var {
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	return s.Field(index).Origin()
}

// namedOf returns the package path and the name of a named type, or of what t
// points to.
func namedOf(t types.Type) (path, name string) {
	if t == nil {
		return "", ""
	}
	t = types.Unalias(t)
	if ptr, ok := t.(*types.Pointer); ok {
		t = types.Unalias(ptr.Elem())
	}
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return "", ""
	}
	return unvendored(n.Obj().Pkg().Path()), n.Obj().Name()
}

// unvendored returns an import path without the part up to vendor/.
func unvendored(path string) string {
	if i := strings.LastIndex(path, "vendor/"); i == 0 || i > 0 && path[i-1] == '/' {
		return path[i+len("vendor/"):]
	}
	return path
}

// report reports a finding of the running check, unless a comment silences it.
func (p *program) report(n ast.Node, message string, fixes ...analysis.SuggestedFix) {
	at := p.pass.Fset.Position(n.Pos())
	if !p.tests && strings.HasSuffix(at.Filename, "_test.go") {
		return
	}
	for _, s := range p.silenced {
		if s.file == at.Filename && s.first <= at.Line && at.Line <= s.last {
			if s.reason {
				return
			}
			message += " (the nolint comment gives no reason)"
			break
		}
	}
	p.pass.Report(analysis.Diagnostic{
		Pos:            n.Pos(),
		End:            n.End(),
		Category:       p.check,
		Message:        p.check + ": " + message,
		SuggestedFixes: fixes,
	})
}

// inOrder sorts marks by their place in the source.
func inOrder(marks []*mark) []*mark {
	marks = slices.Clone(marks)
	slices.SortStableFunc(marks, func(a, b *mark) int { return int(a.call.Pos()) - int(b.call.Pos()) })
	return marks
}
