package dscpvet

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// unit reports a TOS octet, 0 to 255, in the place of a code point, 0 to 63, and
// the other way round. Most numbers can be both. So it only reports constants whose
// value or name is unambiguous, code points of package dscp that are converted
// without a shift, and values that a function shifts for one option and not for
// the other.
func (p *program) unit() {
	for _, m := range p.marks {
		if m.valueAt != nil {
			if m.shift == 0 {
				p.octet(m.valueAt, m.name)
			} else {
				p.codePoint(m.valueAt, m.name)
			}
		}
	}
	p.shiftedOnce()
	p.ofPackageDSCP()
}

// codePoints are the code points with a name (RFC 2474 and later RFCs).
var codePoints = map[string]int64{
	"CS1": 8, "CS2": 16, "CS3": 24, "CS4": 32, "CS5": 40, "CS6": 48, "CS7": 56,
	"AF11": 10, "AF12": 12, "AF13": 14, "AF21": 18, "AF22": 20, "AF23": 22,
	"AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34, "AF42": 36, "AF43": 38,
	"EF": 46, "VA": 44, "NQB": 45, "LE": 1,
}

// codePointNamed returns the name of the code point that a constant's name ends
// in, and its value, if the constant has that value: DSCP_EF, AF41, dscpCS1.
func codePointNamed(constant string, value int64) string {
	upper := strings.ToUpper(constant)
	for name, v := range codePoints {
		rest, ok := strings.CutSuffix(upper, name)
		if !ok || v != value {
			continue
		}
		if rest == "" || strings.HasSuffix(rest, "_") || strings.HasSuffix(rest, "DSCP") {
			return name
		}
	}
	return ""
}

// bareCodePoint returns the name of the code point with this number, if the number
// is not a usual octet: those have the ECN bits clear.
func bareCodePoint(value int64) string {
	if value&3 == 0 || value < 4 {
		return ""
	}
	for name, v := range codePoints {
		if v == value {
			return name
		}
	}
	return ""
}

// octet checks an expression that is used as an octet.
func (p *program) octet(e ast.Expr, by string) {
	if cp := p.unshifted(e); cp != nil {
		p.report(e, fmt.Sprintf("%s takes a TOS octet, and this is a code point; TOS returns its octet", by), analysis.SuggestedFix{
			Message:   "use TOS",
			TextEdits: []analysis.TextEdit{{Pos: cp.End(), End: cp.End(), NewText: []byte(".TOS()")}},
		})
		return
	}
	value, ok := p.constant(e)
	if !ok {
		return
	}
	name := bareCodePoint(value)
	if name == "" {
		name = codePointNamed(p.constantName(e), value)
	}
	switch {
	case value < 0 || value > 255:
		p.report(e, fmt.Sprintf("%d is out of range: %s takes a TOS octet, 0 to 255", value, by))
	case name != "":
		p.report(e, fmt.Sprintf("%s takes a TOS octet, and %d is the code point %s, whose octet is %#x", by, value, name, value<<2), p.shiftLeft(e))
	}
}

// codePoint checks an expression that is used as a code point.
func (p *program) codePoint(e ast.Expr, by string) {
	if value, ok := p.constant(e); ok && (value < 0 || value > 63) {
		message := fmt.Sprintf("%d is out of range: %s takes a code point, 0 to 63", value, by)
		if value > 63 && value < 256 && value&3 == 0 {
			message += fmt.Sprintf("; as a TOS octet it is code point %d", value>>2)
		}
		p.report(e, message)
	}
}

// shiftLeft turns a code point into its octet.
func (p *program) shiftLeft(e ast.Expr) analysis.SuggestedFix {
	edits := []analysis.TextEdit{{Pos: e.End(), End: e.End(), NewText: []byte("<<2")}}
	if _, ok := ast.Unparen(e).(*ast.BinaryExpr); ok {
		edits = []analysis.TextEdit{
			{Pos: e.Pos(), End: e.Pos(), NewText: []byte("(")},
			{Pos: e.End(), End: e.End(), NewText: []byte(")<<2")},
		}
	}
	return analysis.SuggestedFix{Message: "shift by 2", TextEdits: edits}
}

func (p *program) constant(e ast.Expr) (int64, bool) {
	v := p.pass.TypesInfo.Types[e].Value
	if v == nil || v.Kind() != constant.Int {
		return 0, false
	}
	return constant.Int64Val(v)
}

// unshifted returns the expression of type dscp.CodePoint that an expression
// converts to a number, or nil.
func (p *program) unshifted(e ast.Expr) ast.Expr {
	for {
		e = ast.Unparen(e)
		if isCodePoint(p.pass.TypesInfo.TypeOf(e)) {
			if _, ok := e.(*ast.BinaryExpr); ok {
				return nil
			}
			return e
		}
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 || !p.pass.TypesInfo.Types[call.Fun].IsType() {
			return nil
		}
		e = call.Args[0]
	}
}

func isCodePoint(t types.Type) bool {
	path, name := namedOf(t)
	return path == dscpPath && name == "CodePoint"
}

// shiftedOnce reports a value that a function shifts for one of the two options
// and passes on as it is for the other.
func (p *program) shiftedOnce() {
	shifted := make(map[ssa.Value]bool)
	uses := func(m *mark) (ssa.Value, int) {
		if m.value == nil {
			return nil, 0
		}
		base, shift := p.normal(m.value)
		if _, ok := base.(*ssa.Const); ok {
			return nil, 0
		}
		return base, shift + m.shift
	}
	for _, m := range p.marks {
		if base, shift := uses(m); shift == 2 {
			shifted[base] = true
		}
	}
	for _, m := range p.marks {
		if base, shift := uses(m); base != nil && shift == 0 && shifted[base] && m.valueAt != nil {
			p.report(m.valueAt, fmt.Sprintf("%s takes a TOS octet; the same value is shifted by 2 for the other option, so it is a code point", m.name), p.shiftLeft(m.valueAt))
		}
	}
}

// ofPackageDSCP reports octets that become a dscp.CodePoint, and code points
// that are passed to dscp.FromTOS.
func (p *program) ofPackageDSCP() {
	operand := make(map[ast.Expr]bool)
	for _, f := range p.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && operand[e] {
				return false
			}
			switch n := n.(type) {
			case *ast.Ident, *ast.SelectorExpr: // reported where it is declared
				return false
			case *ast.BinaryExpr:
				if p.pass.TypesInfo.Types[n].Value == nil {
					// A limit to compare with, or a bit mask, need not be a code point.
					for _, e := range []ast.Expr{n.X, n.Y} {
						operand[e] = p.pass.TypesInfo.Types[e].Value != nil
					}
					return true
				}
				return p.constantCodePoint(n)
			case *ast.CallExpr:
				if p.isFromTOS(n) {
					if cp := p.unshifted(n.Args[0]); cp != nil {
						p.report(n, "FromTOS takes a TOS octet, and this is a code point")
					} else if v, ok := p.constant(n.Args[0]); ok && bareCodePoint(v) != "" {
						p.report(n, fmt.Sprintf("FromTOS takes a TOS octet, and %d is the code point %s, whose octet is %#x", v, bareCodePoint(v), v<<2))
					}
					return false
				}
				if tv := p.pass.TypesInfo.Types[n.Fun]; tv.IsType() && isCodePoint(tv.Type) && len(n.Args) == 1 {
					p.conversion(n)
					return false
				}
			case ast.Expr:
				return p.constantCodePoint(n)
			}
			return true
		})
	}
}

// constantCodePoint checks a constant of type dscp.CodePoint. It reports whether
// the parts of the expression need checks, too.
func (p *program) constantCodePoint(e ast.Expr) bool {
	tv := p.pass.TypesInfo.Types[e]
	if tv.Value == nil || !isCodePoint(tv.Type) {
		return true
	}
	if value, ok := p.constant(e); ok && value > 63 {
		p.report(e, notACodePoint(value), p.fromTOS(e, e)...)
	}
	return false
}

// conversion checks dscp.CodePoint(x).
func (p *program) conversion(call *ast.CallExpr) {
	arg := call.Args[0]
	if value, ok := p.constant(arg); ok {
		if value > 63 {
			p.report(call, notACodePoint(value), p.fromTOS(call, arg)...)
		}
		return
	}
	inner, ok := ast.Unparen(arg).(*ast.CallExpr)
	if !ok {
		return
	}
	sel := selector(inner)
	if sel == nil || sel.Sel.Name != "TOS" || !isCodePoint(p.pass.TypesInfo.TypeOf(sel.X)) {
		return
	}
	p.report(call, "TOS returns an octet, which is converted to a code point without a shift", p.fromTOS(call, arg)...)
}

func notACodePoint(value int64) string {
	message := fmt.Sprintf("%d is not a code point, 0 to 63", value)
	if value < 256 && value&3 == 0 {
		message += fmt.Sprintf("; as a TOS octet it is code point %d, see FromTOS", value>>2)
	}
	return message
}

// fromTOS replaces an expression by FromTOS of an octet, written as the file
// writes the package's name.
func (p *program) fromTOS(whole ast.Expr, octet ast.Expr) []analysis.SuggestedFix {
	if v, ok := p.constant(octet); ok && (v > 255 || v&3 != 0) {
		return nil
	}
	qualifier := ""
	for _, f := range p.pass.Files {
		if f.FileStart > whole.Pos() || whole.Pos() > f.FileEnd {
			continue
		}
		for _, s := range f.Imports {
			if s.Path.Value == `"`+dscpPath+`"` {
				qualifier = "dscp"
				if s.Name != nil {
					qualifier = s.Name.Name
				}
			}
		}
	}
	if qualifier == "" || qualifier == "." || qualifier == "_" || inConstant(p.pass, whole.Pos()) {
		return nil
	}
	return []analysis.SuggestedFix{{Message: "use FromTOS", TextEdits: []analysis.TextEdit{
		{Pos: whole.Pos(), End: octet.Pos(), NewText: []byte(qualifier + ".FromTOS(")},
		{Pos: octet.End(), End: whole.End(), NewText: []byte(")")},
	}}}
}

// inConstant reports whether a position is in a constant declaration, where
// functions cannot be called.
func inConstant(pass *analysis.Pass, pos token.Pos) bool {
	in := false
	for _, f := range pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST && d.Pos() <= pos && pos < d.End() {
				in = true
			}
			return !in
		})
	}
	return in
}

func (p *program) isFromTOS(call *ast.CallExpr) bool {
	var id *ast.Ident
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.SelectorExpr:
		id = f.Sel
	case *ast.Ident:
		id = f
	default:
		return false
	}
	fn, ok := p.pass.TypesInfo.Uses[id].(*types.Func)
	return ok && fn.Name() == "FromTOS" && fn.Pkg() != nil && fn.Pkg().Path() == dscpPath && len(call.Args) == 1
}
