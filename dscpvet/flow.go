package dscpvet

import (
	"go/token"

	"golang.org/x/tools/go/ssa"
)

// reachesCaller reports whether an error that a call returns may reach the
// caller of fn: as it is, wrapped, or as another error that fn returns because of
// it.
func (p *program) reachesCaller(v ssa.Value, fn *ssa.Function) bool {
	if v == nil {
		return false
	}
	seen := make(map[ssa.Value]bool)
	var reaches func(v ssa.Value) bool
	reaches = func(v ssa.Value) bool {
		if v == nil || seen[v] || v.Referrers() == nil {
			return false
		}
		seen[v] = true
		for _, r := range *v.Referrers() {
			switch r := r.(type) {
			case *ssa.Return:
				if r.Parent() == fn {
					return true
				}
				if p.passedOn(r.Parent(), reaches) {
					return true
				}
			case *ssa.Store:
				if r.Val == v && reachesFrom(r.Addr, reaches) {
					return true
				}
			case *ssa.BinOp:
				if (r.Op == token.NEQ || r.Op == token.EQL) && failsWhen(r, fn) {
					return true
				}
			case *ssa.Call:
				if reachesThrough(r, v, reaches) {
					return true
				}
			case ssa.Value: // Phi, Extract, MakeInterface, Slice, …
				if reaches(r) {
					return true
				}
			}
		}
		return false
	}
	return reaches(v)
}

// passedOn follows what a function literal returns to the calls that it is
// passed to, and, where it is called by name, to the results of those calls.
func (p *program) passedOn(fn *ssa.Function, reaches func(ssa.Value) bool) bool {
	if fn.Referrers() == nil {
		return false
	}
	for _, r := range *fn.Referrers() {
		users := []ssa.Instruction{r}
		if m, ok := r.(*ssa.MakeClosure); ok {
			users = *m.Referrers()
		}
		for _, u := range users {
			if call, ok := u.(*ssa.Call); ok && reaches(call) {
				return true
			}
		}
	}
	return false
}

// reachesFrom follows what is stored at an address to the places that read it.
func reachesFrom(addr ssa.Value, reaches func(ssa.Value) bool) bool {
	switch x := addr.(type) {
	case *ssa.FreeVar:
		b := binding(x)
		return b != nil && reachesFrom(b, reaches)
	case *ssa.IndexAddr: // an argument of a variadic call
		return reaches(x.X)
	case *ssa.FieldAddr:
		return reaches(x.X)
	case *ssa.Alloc:
		for _, r := range references(x) {
			if u, ok := r.(*ssa.UnOp); ok && reaches(u) {
				return true
			}
		}
		return reaches(x)
	}
	return false
}

// reachesThrough follows a call with an error among its arguments to its results,
// and to its receiver, which may collect errors.
func reachesThrough(call *ssa.Call, v ssa.Value, reaches func(ssa.Value) bool) bool {
	for i := range call.Call.Signature().Results().Len() {
		if isError(call.Call.Signature().Results().At(i).Type()) {
			return reaches(call)
		}
	}
	if b, ok := call.Call.Value.(*ssa.Builtin); ok && b.Name() == "append" {
		return reaches(call)
	}
	if call.Call.Signature().Recv() != nil && len(call.Call.Args) > 0 && call.Call.Args[0] != v {
		return reaches(call.Call.Args[0])
	}
	return false
}

// failsWhen reports whether the branch that is taken if an error is not nil
// returns an error that is not nil, or ends the program.
func failsWhen(cond *ssa.BinOp, fn *ssa.Function) bool {
	for _, r := range *cond.Referrers() {
		branch, ok := r.(*ssa.If)
		if !ok {
			continue
		}
		block := branch.Block().Succs[0]
		if cond.Op == token.EQL {
			block = branch.Block().Succs[1]
		}
		for range 4 { // through blocks with one successor
			switch last := block.Instrs[len(block.Instrs)-1].(type) {
			case *ssa.Panic:
				return true
			case *ssa.Return:
				if last.Parent() != fn {
					return false
				}
				for _, res := range last.Results {
					if c, ok := res.(*ssa.Const); isError(res.Type()) && (!ok || !c.IsNil()) {
						return true
					}
				}
				return false
			}
			if len(block.Succs) != 1 {
				break
			}
			block = block.Succs[0]
		}
	}
	return false
}
