package dscpvet

import (
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// guess reports calls on an established connection whose names say that they mark
// it, where the analyzer knows nothing of the function: methods of interfaces, and
// functions of packages that mark in a way that it does not see.
func (p *program) guess() {
	known := make(map[ssa.CallInstruction]bool)
	for _, m := range p.marks {
		known[m.call] = true
	}
	for call := range p.allCalls() {
		c := call.Common()
		var name string
		var candidates []ssa.Value
		if c.IsInvoke() {
			name, candidates = c.Method.Name(), append([]ssa.Value{c.Value}, c.Args...)
		} else if fn := c.StaticCallee(); fn != nil && fn.Object() != nil && fn.Object().Pkg() != p.pass.Pkg {
			name, candidates = fn.Name(), c.Args
			if isGodscp(fn.Object().Pkg().Path()) {
				continue
			}
		}
		if !guessed(name) || known[call] || p.calls[c.Pos()] == nil {
			continue
		}
		m := &mark{call: call, expr: p.calls[c.Pos()], name: name}
		for _, v := range candidates {
			if !isSocket(v.Type()) {
				continue
			}
			i := slices.IndexFunc(p.origins(v), func(o origin) bool { return p.isLate(m, o) })
			if i >= 0 {
				p.report(m.at(), name+", by its name, marks a connection that is up; mark before connect or listen: dscp.Dialer, dscp.ListenConfig")
				break
			}
		}
	}
}

// guessed reports whether a name is one of those that marking methods have.
func guessed(name string) bool {
	switch strings.ToLower(name) {
	case "settos", "setdscp", "settrafficclass", "setiptos", "settclass", "setqos", "markdscp":
		return true
	}
	return false
}
