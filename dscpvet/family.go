package dscpvet

import (
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// family reports sockets that are marked for IPv4 alone where IPv6 peers are
// possible, and listeners for both families that are marked for IPv6 alone: on
// Linux, IP_TOS marks what such a socket sends to IPv4 peers.
func (p *program) family() {
	configs := p.configs()
	for _, group := range p.bySocket() {
		var set options
		for _, m := range group.marks {
			set |= m.options
		}
		if group.origin.proto&raw != 0 || p.chosen(group) {
			continue
		}
		first := group.marks[0]
		switch o := group.origin; {
		case set == ipTOS && p.mayBeIPv6(o, configs):
			p.report(first.at(), first.sets()+" marks IPv4 packets alone, and this socket may send IPv6: set IPV6_TCLASS, too, or use dscp.Dialer and dscp.ListenConfig, which mark both")
		case set == ipv6TClass && p.dualStack(o, configs):
			p.report(first.at(), first.sets()+" marks IPv6 packets alone, and this socket has IPv4 peers, too: set IP_TOS, too, or use dscp.ListenConfig, which marks both")
		}
	}
}

// A group is the marks of one socket.
type group struct {
	origin origin
	marks  []*mark
}

// bySocket groups marks by the socket that they are set on, where the package
// shows the origin of the socket.
func (p *program) bySocket() []*group {
	var groups []*group
	index := make(map[ssa.Value]*group)
	for _, m := range inOrder(p.marks) {
		for _, o := range m.origins {
			switch o.kind {
			case fromDial, fromAccept, fromListen, fromPacket, fromSocket:
			case fromHook:
				if len(p.callers[o.at.Parent()]) > 0 {
					continue // the hook that calls it is checked
				}
			default:
				continue
			}
			g := index[o.at]
			if g == nil {
				g = &group{origin: o}
				index[o.at] = g
				groups = append(groups, g)
			}
			if !slices.Contains(g.marks, m) {
				g.marks = append(g.marks, m)
			}
		}
	}
	return groups
}

// mayBeIPv6 reports whether a socket may send IPv6 packets.
func (p *program) mayBeIPv6(o origin, configs []config) bool {
	if o.kind == fromHook {
		if inspects(o.at.(*ssa.Parameter).Parent()) {
			return false
		}
		calls := callsOf(o, configs)
		for _, c := range calls {
			if c.origin.family != ipTOS {
				return true
			}
		}
		return len(calls) == 0
	}
	if o.kind == fromSocket {
		return o.family&ipv6TClass != 0
	}
	return o.family != ipTOS
}

// dualStack reports whether a socket is certainly bound to the wildcard address
// and has peers of both families.
func (p *program) dualStack(o origin, configs []config) bool {
	if o.kind == fromHook {
		if inspects(o.at.(*ssa.Parameter).Parent()) {
			return false
		}
		return slices.ContainsFunc(callsOf(o, configs), func(c configCall) bool { return p.dualStack(c.origin, nil) })
	}
	return (o.kind == fromListen || o.kind == fromPacket) && o.family == both && o.fixed && (o.host == "" || o.host == "::")
}

// callsOf returns the calls that make the sockets for which a hook runs.
func callsOf(o origin, configs []config) []configCall {
	var calls []configCall
	for _, c := range configs {
		if slices.Contains(c.hooks, o.at.Parent()) {
			for _, call := range c.calls {
				if call.method != "SetMultipathTCP" && call.method != "MultipathTCP" {
					calls = append(calls, call)
				}
			}
		}
	}
	return calls
}

// inspects reports whether a hook uses its network or address, other than to pass
// all its parameters to another hook.
func inspects(fn *ssa.Function) bool {
	conn := fn.Params[len(fn.Params)-1]
	for _, param := range fn.Params[len(fn.Params)-3 : len(fn.Params)-1] {
		for _, r := range references(param) {
			call, ok := r.(ssa.CallInstruction)
			if !ok || !slices.Contains(call.Common().Args, ssa.Value(conn)) {
				return true
			}
		}
	}
	return false
}

// chosen reports whether every mark of a group depends on a condition about the
// family: then the program marks one family on purpose.
func (p *program) chosen(g *group) bool {
	for _, m := range g.marks {
		if !dependsOnFamily(m.call.Block()) {
			return false
		}
	}
	return true
}

func dependsOnFamily(b *ssa.BasicBlock) bool {
	for d := b.Idom(); d != nil; d = d.Idom() {
		branch, ok := d.Instrs[len(d.Instrs)-1].(*ssa.If)
		if !ok {
			continue
		}
		for _, s := range d.Succs {
			if s.Dominates(b) && len(s.Preds) == 1 && tellsFamily(branch.Cond, 6) {
				return true
			}
		}
	}
	// A condition for a function literal holds for what is in it.
	if refs := b.Parent().Referrers(); refs != nil {
		for _, r := range *refs {
			if r.Block() != nil && r.Parent() != b.Parent() && dependsOnFamily(r.Block()) {
				return true
			}
		}
	}
	return false
}

// tellsFamily reports whether a condition contains a name or a constant that
// refers to a family.
func tellsFamily(v ssa.Value, depth int) bool {
	if v == nil || depth == 0 {
		return false
	}
	var name string
	switch x := v.(type) {
	case *ssa.Const:
		s, _ := stringOf(x)
		name = s
		if s == ":" || s == "." {
			return true
		}
	case *ssa.Call:
		name = x.Call.Value.Name()
		if x.Call.IsInvoke() {
			name = x.Call.Method.Name()
		}
	case *ssa.FieldAddr:
		name = fieldOf(x.X.Type(), x.Field).Name()
	case *ssa.Field:
		name = fieldOf(x.X.Type(), x.Field).Name()
	case *ssa.Alloc:
		name = x.Comment
	case *ssa.Parameter, *ssa.Global, *ssa.FreeVar:
		name = x.Name()
	}
	if strings.ContainsAny(name, "46") || strings.Contains(strings.ToLower(name), "family") {
		return true
	}
	instr, ok := v.(ssa.Instruction)
	if !ok {
		return false
	}
	for _, op := range instr.Operands(nil) {
		if *op != nil && tellsFamily(*op, depth-1) {
			return true
		}
	}
	return false
}
