package dscpvet

import (
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// dropped reports calls that set a mark and whose error is ignored. They fail in
// common situations: the socket is of the other family, the system
// does not have the option, the listener is a Multipath TCP socket.
func (p *program) dropped() {
	// The error of a function that marks among other things is not checked.
	reported := make(map[ssa.CallInstruction]bool)
	for _, m := range p.marks {
		if !reported[m.call] && (m.returns || !m.helper) && p.ignored(m.call) {
			reported[m.call] = true
			p.report(m.at(), "the error of "+m.name+" is ignored: packets may be unmarked")
		}
	}
}

// ignored reports whether a call returns an error that nothing uses.
func (p *program) ignored(call ssa.CallInstruction) bool {
	results := call.Common().Signature().Results()
	n := results.Len() - 1
	if n < 0 || !isError(results.At(n).Type()) {
		return false
	}
	c, ok := call.(*ssa.Call)
	if !ok {
		return true // go and defer
	}
	err := errorOf(c)
	return err == nil || !p.used(err)
}

// errorOf returns the error that a call returns as its last result, or nil if it
// is not assigned.
func errorOf(call *ssa.Call) ssa.Value {
	n := call.Call.Signature().Results().Len()
	if n == 1 {
		return call
	}
	for _, r := range *call.Referrers() {
		if e, ok := r.(*ssa.Extract); ok && e.Index == n-1 {
			return e
		}
	}
	return nil
}

// used reports whether anything reads a value. A variable that is stored to
// and never read, or overwritten before it is read, does not count.
func (p *program) used(v ssa.Value) bool {
	for _, r := range *v.Referrers() {
		switch r := r.(type) {
		case *ssa.DebugRef:
		case *ssa.Store:
			if r.Val == v && !lostStore(r) {
				return true
			}
		case *ssa.MakeInterface:
			if p.used(r) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// lostStore reports whether the value that is stored is never read.
func lostStore(s *ssa.Store) bool {
	addr := s.Addr
	for f, ok := addr.(*ssa.FreeVar); ok; f, ok = addr.(*ssa.FreeVar) {
		if addr = binding(f); addr == nil {
			return false
		}
	}
	if _, ok := addr.(*ssa.Alloc); !ok {
		return false
	}
	read := false
	for _, r := range references(addr) {
		if _, ok := r.(*ssa.Store); !ok {
			read = true
		}
	}
	if !read {
		return true
	}
	after := false
	for _, instr := range s.Block().Instrs {
		switch instr := instr.(type) {
		case *ssa.Store:
			if after && instr.Addr == s.Addr {
				return true
			}
			after = after || instr == s
		case *ssa.UnOp:
			if after && instr.X == s.Addr {
				return false
			}
		}
	}
	return false
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}
