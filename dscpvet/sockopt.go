package dscpvet

import (
	"go/ast"
	"go/constant"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// Protocol levels. They have these numbers on every system.
const (
	levelIP   = 0
	levelIPv6 = 41
)

// A sockopt is a call of setsockopt or of a function that passes its parameters
// on to it.
type sockopt struct {
	call                       ssa.CallInstruction
	name                       string
	fd, level, option, value   ssa.Value // level and option are nil where the callee passes a constant
	levelAt, optionAt, valueAt ast.Expr
	constants                  setsSockopt
}

// sockopt returns what a call passes to setsockopt, or nil.
func (p *program) sockopt(call ssa.CallInstruction) *sockopt {
	c := call.Common()
	callee := c.StaticCallee()
	if callee == nil {
		return nil
	}
	path, name := nameOf(callee)
	var s setsSockopt
	switch {
	case isSyscall(path) && strings.HasPrefix(strings.ToLower(name), "setsockopt") && len(c.Args) >= 4:
		s = setsSockopt{FD: 0, Level: 1, Option: 2, Value: 3}
	case isSyscall(path) && (name == "Syscall6" || name == "RawSyscall6") && p.constantName(p.argument(call, 0)) == "SYS_SETSOCKOPT":
		s = setsSockopt{FD: 1, Level: 2, Option: 3, Value: -1}
	default:
		f := p.setterOf(callee)
		if f == nil {
			return nil
		}
		s = *f
	}
	if slices.Max([]int{s.FD, s.Level, s.Option, s.Value}) >= len(c.Args) {
		return nil
	}
	pick := func(i int) (ssa.Value, ast.Expr) {
		if i < 0 {
			return nil, nil
		}
		return c.Args[i], p.argument(call, i)
	}
	o := &sockopt{call: call, name: name, constants: s}
	o.fd, _ = pick(s.FD)
	o.level, o.levelAt = pick(s.Level)
	o.option, o.optionAt = pick(s.Option)
	o.value, o.valueAt = pick(s.Value)
	return o
}

func isSyscall(path string) bool {
	return path == "syscall" || path == "golang.org/x/sys/unix" || path == "golang.org/x/sys/windows"
}

// setterOf returns how a function passes its parameters on to setsockopt, or nil.
func (p *program) setterOf(fn *ssa.Function) *setsSockopt {
	fn = generic(fn)
	if s := p.setters[fn]; s != nil {
		return s
	}
	if obj, ok := fn.Object().(*types.Func); ok && obj.Pkg() != nil && obj.Pkg() != p.pass.Pkg {
		var fact setsSockopt
		if p.pass.ImportObjectFact(obj.Origin(), &fact) {
			return &fact
		}
	}
	return nil
}

// findSetters finds functions that pass their parameters on to setsockopt,
// until there are no more.
func (p *program) findSetters() {
	for found := true; found; {
		found = false
		for call := range p.allCalls() {
			s := p.sockopt(call)
			if s == nil || s.option == nil {
				continue
			}
			option := p.parameter(s.option)
			if option == nil {
				continue
			}
			fn := option.Parent()
			if p.setters[fn] != nil {
				continue
			}
			f := &setsSockopt{FD: -1, Level: -1, Option: slices.Index(fn.Params, option), Value: -1}
			if level := p.parameter(s.level); level != nil && level.Parent() == fn {
				f.Level = slices.Index(fn.Params, level)
			} else if n, ok := p.levelOf(s); ok {
				f.ConstantLevel = n
			} else {
				continue
			}
			if s.value != nil {
				if value := p.parameter(s.value); value != nil && value.Parent() == fn {
					f.Value = slices.Index(fn.Params, value)
				}
			}
			for _, o := range p.origins(s.fd) {
				if param, ok := o.at.(*ssa.Parameter); ok && param.Parent() == fn {
					f.FD = slices.Index(fn.Params, param)
				}
			}
			if f.FD >= 0 {
				p.setters[fn] = f
				found = true
			}
		}
	}
}

// parameter returns the parameter that a value is, without conversions, or nil.
func (p *program) parameter(v ssa.Value) *ssa.Parameter {
	if v == nil {
		return nil
	}
	base, shift := p.normal(v)
	param, ok := base.(*ssa.Parameter)
	if !ok || shift != 0 {
		return nil
	}
	return param
}

// levelOf returns the constant level of a call.
func (p *program) levelOf(s *sockopt) (int64, bool) {
	if s.level == nil {
		return s.constants.ConstantLevel, true
	}
	return intOf(s.level)
}

// markOption returns the options that a call may set and that carry a mark. Where
// level and option depend on a condition, they are taken to depend on the same one.
func (p *program) markOption(s *sockopt) options {
	if s.option == nil {
		return 0
	}
	if phi, ok := s.option.(*ssa.Phi); ok {
		var found options
		for i, edge := range phi.Edges {
			level := s.level
			if l, ok := level.(*ssa.Phi); ok && l.Block() == phi.Block() {
				level = l.Edges[i]
			}
			o, ok := intOf(edge)
			l, ok2 := p.levelOf(&sockopt{level: level, constants: s.constants})
			if ok && ok2 {
				found |= p.optionAt(l, o, s.call)
			}
		}
		return found
	}
	o, ok := intOf(s.option)
	l, ok2 := p.levelOf(s)
	if !ok || !ok2 {
		return 0
	}
	return p.optionAt(l, o, s.call)
}

// optionAt returns the option with a level and a number. The numbers differ by
// system: they are constants of the package of the called function, or of another
// syscall package that is imported.
func (p *program) optionAt(level, number int64, call ssa.CallInstruction) options {
	tos, tclass := p.numbers(call)
	switch {
	case level == levelIP && number == tos:
		return ipTOS
	case level == levelIPv6 && number == tclass:
		return ipv6TClass
	}
	return 0
}

// numbers returns the numbers of IP_TOS and IPV6_TCLASS on the system that the
// package is built for.
func (p *program) numbers(call ssa.CallInstruction) (tos, tclass int64) {
	tos, tclass = 1, 67 // Linux
	pkgs := []*types.Package{}
	if fn := call.Common().StaticCallee(); fn.Object() != nil {
		pkgs = append(pkgs, fn.Object().Pkg())
	}
	for _, pkg := range append(pkgs, p.pass.Pkg.Imports()...) {
		if pkg == nil || !isSyscall(unvendored(pkg.Path())) {
			continue
		}
		if n, ok := constantIn(pkg, "IP_TOS"); ok {
			tos = n
			if n, ok := constantIn(pkg, "IPV6_TCLASS"); ok {
				tclass = n
			} else if tos == 3 { // BSD; Windows has 39
				tclass = 36
			}
			break
		}
	}
	return tos, tclass
}

// constantIn returns an integer constant of a package.
func constantIn(pkg *types.Package, name string) (int64, bool) {
	c, ok := pkg.Scope().Lookup(name).(*types.Const)
	if !ok {
		return 0, false
	}
	return constant.Int64Val(c.Val())
}
