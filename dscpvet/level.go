package dscpvet

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// level reports IP_TOS and IPV6_TCLASS at a wrong protocol level. The number is
// that of another option there: on Linux, IP_TOS at
// SOL_SOCKET is SO_DEBUG, and at IPPROTO_IPV6 it is IPV6_ADDRFORM.
func (p *program) level() {
	for call := range p.allCalls() {
		levelAt, optionAt := p.levelAndOption(call)
		if levelAt == nil || optionAt == nil {
			continue
		}
		var want int64
		var name string
		switch p.constantName(optionAt) {
		case "IP_TOS":
			want, name = levelIP, "IPPROTO_IP"
		case "IPV6_TCLASS":
			want, name = levelIPv6, "IPPROTO_IPV6"
		default:
			continue
		}
		value := p.pass.TypesInfo.Types[levelAt].Value
		if value == nil {
			continue
		}
		if got, ok := constant.Int64Val(constant.ToInt(value)); !ok || got == want {
			continue
		}
		given := p.constantName(levelAt)
		if given == "" {
			given = value.String()
		}
		p.report(levelAt, fmt.Sprintf("%s is an option of %s; at %s its number is that of another option", p.constantName(optionAt), name, given), p.renamed(levelAt, name)...)
	}
}

// levelAndOption returns the level and the option of a call of setsockopt or
// getsockopt, or of a function that passes them on.
func (p *program) levelAndOption(call ssa.CallInstruction) (level, option ast.Expr) {
	if s := p.sockopt(call); s != nil {
		return s.levelAt, s.optionAt
	}
	callee := call.Common().StaticCallee()
	if callee == nil {
		return nil, nil
	}
	if path, name := nameOf(callee); isSyscall(path) && strings.HasPrefix(name, "Getsockopt") {
		return p.argument(call, 1), p.argument(call, 2)
	}
	return nil, nil
}

// renamed replaces a level that is a constant of a package by another constant
// of the same package.
func (p *program) renamed(e ast.Expr, name string) []analysis.SuggestedFix {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	c, ok := p.pass.TypesInfo.Uses[sel.Sel].(*types.Const)
	if !ok || c.Pkg().Scope().Lookup(name) == nil {
		return nil
	}
	return []analysis.SuggestedFix{{
		Message:   "use " + name,
		TextEdits: []analysis.TextEdit{{Pos: sel.Sel.Pos(), End: sel.Sel.End(), NewText: []byte(name)}},
	}}
}
