package dscpvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// options is a set of the socket options that carry a mark.
type options uint8

const (
	ipTOS      options = 1 << iota // IP_TOS
	ipv6TClass                     // IPV6_TCLASS

	both = ipTOS | ipv6TClass
)

func (o options) String() string {
	switch o {
	case ipTOS:
		return "IP_TOS"
	case ipv6TClass:
		return "IPV6_TCLASS"
	default:
		return "IP_TOS and IPV6_TCLASS"
	}
}

// A mark is a call that sets a mark on a socket: a setter of x/net, setsockopt, or
// a function that is known to call one of them.
type mark struct {
	call    ssa.CallInstruction
	expr    *ast.CallExpr
	name    string // of the function, as the call has it
	options options
	socket  ssa.Value // a connection, a RawConn, a descriptor
	value   ssa.Value // nil if not known
	valueAt ast.Expr  // value in the source; nil if not known
	shift   int       // 2 if the function takes a code point
	helper  bool      // the callee passes the value on to a setter
	lost    bool      // an error of IPV6_TCLASS never leaves the function
	returns bool      // an error of the mark does
	within  bool      // socket holds the socket in a field
	proto   protocols // of the socket, as the function shows
	origins []origin  // of socket
}

func (m *mark) fn() *ssa.Function { return m.call.Parent() }

// at is where a mark is reported: from the name of the function on, which has the
// relevant line where a chain of calls spans several.
func (m *mark) at() ast.Node {
	start := ast.Expr(m.expr)
	if sel, ok := ast.Unparen(m.expr.Fun).(*ast.SelectorExpr); ok {
		start = sel.Sel
	}
	return span{start, m.expr}
}

// sets says what the call does, as the start of a sentence.
func (m *mark) sets() string {
	if m.helper {
		return m.name + ", which sets " + m.options.String() + ","
	}
	return m.name
}

// A span is the source from the start of one node to the end of another.
type span struct{ from, to ast.Node }

func (s span) Pos() token.Pos { return s.from.Pos() }
func (s span) End() token.Pos { return s.to.End() }

// findMarks finds all calls that set a mark: the direct ones first, then, until
// there are no more, calls of functions that mark their parameters.
func (p *program) findMarks() {
	known := make(map[ssa.CallInstruction][]effect)
	add := func(m *mark) {
		m.expr = p.calls[m.call.Common().Pos()]
		if m.expr == nil {
			return // made by the compiler: a wrapper, a promoted method
		}
		m.origins = p.origins(m.socket)
		for i := range m.origins {
			m.origins[i].proto |= m.proto
			m.origins[i].within = m.origins[i].within || m.within
		}
		p.marks = append(p.marks, m)
	}
	for call := range p.allCalls() {
		for _, m := range p.direct(call) {
			add(m)
		}
	}
	for done, more := 0, true; more; more = done < len(p.marks) {
		for ; done < len(p.marks); done++ {
			p.summarise(p.marks[done])
		}
		for call := range p.allCalls() {
			for _, e := range p.effectsOf(call.Common().StaticCallee()) {
				if slices.Contains(known[call], e) {
					continue
				}
				known[call] = append(known[call], e)
				if m := p.helperCall(call, e); m != nil {
					add(m)
				}
			}
		}
	}
}

// direct returns the marks of a call of x/net or setsockopt.
func (p *program) direct(call ssa.CallInstruction) []*mark {
	c := call.Common()
	callee := c.StaticCallee()
	if callee == nil {
		return nil
	}
	path, name := nameOf(callee)
	var opt options
	switch {
	case path == "golang.org/x/net/ipv4" && name == "SetTOS":
		opt = ipTOS
	case path == "golang.org/x/net/ipv6" && name == "SetTrafficClass":
		opt = ipv6TClass
	}
	if opt != 0 && len(c.Args) == 2 {
		return []*mark{{call: call, name: name, options: opt, socket: c.Args[0], value: c.Args[1], valueAt: p.argument(call, 1)}}
	}
	if s := p.sockopt(call); s != nil {
		if o := p.markOption(s); o != 0 {
			return []*mark{{call: call, name: s.name, options: o, socket: s.fd, value: s.value, valueAt: s.valueAt}}
		}
	}
	return nil
}

// helperCall returns the mark that a call sets by an effect of its callee.
func (p *program) helperCall(call ssa.CallInstruction, e effect) *mark {
	c := call.Common()
	if e.Socket >= len(c.Args) || generic(c.StaticCallee()) == generic(call.Parent()) {
		return nil
	}
	m := &mark{
		call:    call,
		name:    c.StaticCallee().Name(),
		options: e.Options,
		socket:  c.Args[e.Socket],
		shift:   e.Shift,
		helper:  true,
		lost:    e.Lost,
		returns: e.Returns,
		within:  e.Within,
		proto:   e.Protocols,
	}
	if e.Value >= 0 && e.Value < len(c.Args) {
		m.value, m.valueAt = c.Args[e.Value], p.argument(call, e.Value)
	}
	return m
}

// summarise adds what a mark does to the parameters of the function around it.
func (p *program) summarise(m *mark) {
	for _, o := range m.origins {
		param, ok := o.at.(*ssa.Parameter)
		if !ok || o.kind != fromParameter && o.kind != fromHook {
			continue
		}
		fn := param.Parent()
		reaches := p.reachesCaller(m.call.Value(), fn)
		e := effect{
			Socket:    slices.Index(fn.Params, param),
			Options:   m.options,
			Value:     -1,
			Lost:      m.lost || m.options&ipv6TClass != 0 && !reaches,
			Returns:   (m.returns || !m.helper) && reaches && !serves(param),
			Within:    o.within,
			Protocols: o.proto &^ (guarded | file),
		}
		base, shift := p.normal(m.value)
		if v, ok := base.(*ssa.Parameter); ok && v.Parent() == fn {
			e.Value, e.Shift = slices.Index(fn.Params, v), shift+m.shift
		}
		if o.within && e.Value < 0 {
			continue // a method that marks its own socket with its own value: no setter
		}
		p.addEffect(fn, e)
	}
}

// addEffect joins an effect with what is known of the same parameters, so that
// a function that sets both options has one effect.
func (p *program) addEffect(fn *ssa.Function, e effect) {
	all := p.effects[fn]
	for i := range all {
		if all[i].Socket != e.Socket {
			continue
		}
		all[i].Options |= e.Options
		all[i].Protocols |= e.Protocols
		all[i].Returns = all[i].Returns || e.Returns
		all[i].Within = all[i].Within || e.Within
		all[i].Lost = all[i].Lost || e.Lost
		if all[i].Value < 0 {
			all[i].Value, all[i].Shift = e.Value, e.Shift
		}
		return
	}
	p.effects[fn] = append(all, e)
}

// effectsOf returns the effects of a function of this package or of another.
func (p *program) effectsOf(fn *ssa.Function) []effect {
	if fn == nil {
		return nil
	}
	fn = generic(fn)
	if e := p.effects[fn]; e != nil {
		return e
	}
	if obj, ok := fn.Object().(*types.Func); ok && obj.Pkg() != nil && obj.Pkg() != p.pass.Pkg {
		var fact marksParameter
		if p.pass.ImportObjectFact(obj.Origin(), &fact) {
			return fact.Effects
		}
	}
	return nil
}

// exportFacts tells other packages of this package's effects and setters.
func (p *program) exportFacts() {
	for fn, effects := range p.effects {
		// A function that also uses the connection is reported itself.
		effects = slices.DeleteFunc(slices.Clone(effects), func(e effect) bool { return serves(fn.Params[e.Socket]) })
		if len(effects) == 0 {
			continue
		}
		if obj, ok := fn.Object().(*types.Func); ok && obj.Pkg() == p.pass.Pkg && obj.Exported() {
			p.pass.ExportObjectFact(obj, &marksParameter{effects})
		}
	}
	for fn, s := range p.setters {
		if obj, ok := fn.Object().(*types.Func); ok && obj.Pkg() == p.pass.Pkg && obj.Exported() {
			p.pass.ExportObjectFact(obj, s)
		}
	}
}

// nameOf returns the package path and the name of a function.
func nameOf(fn *ssa.Function) (path, name string) {
	obj := fn.Object()
	if obj == nil || obj.Pkg() == nil {
		return "", fn.Name()
	}
	return unvendored(obj.Pkg().Path()), obj.Name()
}

// argument returns the source of an argument; arguments are counted with the
// receiver first, as in SSA. It is nil for an argument of a variadic parameter or
// one that a call with several results passes.
func (p *program) argument(call ssa.CallInstruction, i int) ast.Expr {
	expr := p.calls[call.Common().Pos()]
	if expr == nil {
		return nil
	}
	if sig := call.Common().Signature(); sig.Recv() != nil && !call.Common().IsInvoke() {
		if sel, ok := p.pass.TypesInfo.Selections[selector(expr)]; !ok || sel.Kind() == types.MethodVal {
			i--
		}
	}
	if i < 0 || i >= len(expr.Args) {
		return nil
	}
	return expr.Args[i]
}

func selector(call *ast.CallExpr) *ast.SelectorExpr {
	sel, _ := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	return sel
}

// normal returns the value without conversions and shifts, and by how many bits it
// was shifted to the left.
func (p *program) normal(v ssa.Value) (base ssa.Value, shift int) {
	for range 16 {
		switch x := v.(type) {
		case *ssa.Convert:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.BinOp:
			n, ok := intOf(x.Y)
			switch {
			case ok && x.Op.String() == "<<":
				v, shift = x.X, shift+int(n)
			case ok && x.Op.String() == "*" && n == 4:
				v, shift = x.X, shift+2
			default:
				return v, shift
			}
		case *ssa.FreeVar:
			b := binding(x)
			if b == nil {
				return v, shift
			}
			v = b
		case *ssa.UnOp:
			if x.Op != token.MUL {
				return v, shift
			}
			stored := onlyStore(x.X)
			if stored == nil {
				return v, shift
			}
			v = stored
		default:
			return v, shift
		}
	}
	return v, shift
}

// onlyStore returns the value of a variable that is assigned exactly once, or nil.
func onlyStore(addr ssa.Value) ssa.Value {
	if f, ok := addr.(*ssa.FreeVar); ok {
		addr = binding(f)
	}
	alloc, ok := addr.(*ssa.Alloc)
	if !ok {
		return nil
	}
	var stored ssa.Value
	for _, r := range *alloc.Referrers() {
		if s, ok := r.(*ssa.Store); ok && s.Addr == alloc {
			if stored != nil {
				return nil
			}
			stored = s.Val
		}
	}
	return stored
}

// binding returns what a free variable of a function literal is bound to.
func binding(f *ssa.FreeVar) ssa.Value {
	fn := f.Parent()
	i := slices.Index(fn.FreeVars, f)
	refs := fn.Referrers()
	if refs == nil {
		return nil
	}
	for _, r := range *refs {
		if m, ok := r.(*ssa.MakeClosure); ok && i < len(m.Bindings) {
			return m.Bindings[i]
		}
	}
	return nil
}

// intOf returns the value of an integer constant.
func intOf(v ssa.Value) (int64, bool) {
	for {
		switch x := v.(type) {
		case *ssa.Convert:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.Const:
			if x.Value == nil || x.Value.Kind() != constant.Int {
				return 0, false
			}
			return constant.Int64Val(x.Value)
		default:
			return 0, false
		}
	}
}

// stringOf returns the value of a string constant.
func stringOf(v ssa.Value) (string, bool) {
	c, ok := v.(*ssa.Const)
	if !ok || c.Value == nil || c.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(c.Value), true
}

// constantName returns the name of the constant that an expression consists of,
// conversions aside, or "".
func (p *program) constantName(e ast.Expr) string {
	for e != nil {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			if c, ok := p.pass.TypesInfo.Uses[x].(*types.Const); ok {
				return c.Name()
			}
			return ""
		case *ast.SelectorExpr:
			if c, ok := p.pass.TypesInfo.Uses[x.Sel].(*types.Const); ok {
				return c.Name()
			}
			return ""
		case *ast.CallExpr:
			if tv := p.pass.TypesInfo.Types[x.Fun]; !tv.IsType() || len(x.Args) != 1 {
				return ""
			}
			e = x.Args[0]
		default:
			return ""
		}
	}
	return ""
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
