package dscpvet

import (
	"go/types"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A config is a net.Dialer or net.ListenConfig of the package that has a hook.
type config struct {
	listen bool
	hooks  []*ssa.Function
	calls  []configCall
}

// A configCall is a call of a method of a config.
type configCall struct {
	method string
	origin origin // of what it returns
	off    bool   // SetMultipathTCP(false)
}

// configs returns the dialers and listen configurations that the package gives
// a Control function.
func (p *program) configs() []config {
	var all []config
	for instr := range p.instructions() {
		store, ok := instr.(*ssa.Store)
		if !ok {
			continue
		}
		addr, ok := store.Addr.(*ssa.FieldAddr)
		if !ok {
			continue
		}
		path, name := namedOf(addr.X.Type())
		f := fieldOf(addr.X.Type(), addr.Field)
		if path != "net" || name != "Dialer" && name != "ListenConfig" || !strings.HasPrefix(f.Name(), "Control") {
			continue
		}
		all = append(all, config{
			listen: name == "ListenConfig",
			hooks:  p.functions(store.Val),
			calls:  p.callsOn(addr.X),
		})
	}
	return all
}

// functions returns the functions of the package that a value of function type
// may be.
func (p *program) functions(v ssa.Value) []*ssa.Function {
	var found []*ssa.Function
	seen := make(map[ssa.Value]bool)
	var follow func(v ssa.Value)
	follow = func(v ssa.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		switch x := v.(type) {
		case *ssa.Function:
			found = append(found, x)
		case *ssa.MakeClosure:
			follow(x.Fn)
		case *ssa.ChangeType:
			follow(x.X)
		case *ssa.Phi:
			for _, e := range x.Edges {
				follow(e)
			}
		case *ssa.UnOp:
			for _, s := range storesTo(x.X) {
				follow(s)
			}
		case *ssa.Call:
			callee := x.Call.StaticCallee()
			if callee == nil {
				return
			}
			for _, b := range callee.Blocks {
				if ret, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && len(ret.Results) > 0 {
					follow(ret.Results[0])
				}
			}
		}
	}
	follow(v)
	return found
}

// callsOn returns the calls of methods on a config at an address, on copies of
// it, and, where it is a field of a struct, on that field anywhere.
func (p *program) callsOn(addr ssa.Value) []configCall {
	var calls []configCall
	seen := make(map[ssa.Value]bool)
	fields := make(map[*types.Var]bool)
	var follow func(v ssa.Value)
	follow = func(v ssa.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		if f, ok := v.(*ssa.FieldAddr); ok {
			if field := fieldOf(f.X.Type(), f.Field); !fields[field] {
				fields[field] = true
				for instr := range p.instructions() {
					if g, ok := instr.(*ssa.FieldAddr); ok && fieldOf(g.X.Type(), g.Field) == field {
						follow(g)
					}
				}
			}
		}
		for _, r := range references(v) {
			switch r := r.(type) {
			case *ssa.UnOp:
				follow(r)
			case *ssa.Phi:
				follow(r)
			case *ssa.MakeInterface:
				follow(r)
			case *ssa.Store:
				if r.Val == v {
					follow(r.Addr)
				}
			case *ssa.Call:
				if c, ok := p.configCall(r, v); ok {
					calls = append(calls, c)
				}
			}
		}
	}
	follow(addr)
	return calls
}

func (p *program) configCall(call *ssa.Call, receiver ssa.Value) (configCall, bool) {
	callee := call.Call.StaticCallee()
	if callee == nil || len(call.Call.Args) == 0 || call.Call.Args[0] != receiver {
		return configCall{}, false
	}
	path, name := nameOf(callee)
	if path != "net" {
		return configCall{}, false
	}
	c := configCall{method: name}
	if name == "SetMultipathTCP" {
		arg, ok := call.Call.Args[1].(*ssa.Const)
		c.off = ok && arg.Value.String() == "false"
		return c, true
	}
	t := &tracer{p: p, seen: make(map[ssa.Value]bool), bound: make(map[*ssa.Parameter]ssa.Value)}
	t.call(call, 0, 0)
	if len(t.found) == 0 {
		return configCall{}, false
	}
	c.origin = t.found[0]
	return c, true
}
