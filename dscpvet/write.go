package dscpvet

import "golang.org/x/tools/go/ssa"

// write reports marks that are set repeatedly on one socket: in a function that
// writes, or in a loop whose socket was made before the loop. Writers that share
// the socket get each other's marks, and every write costs one more system call.
func (p *program) write() {
	for _, m := range p.marks {
		name := m.fn().Name()
		if hasPrefixFold(name, "write") || hasPrefixFold(name, "send") || inLoop(m) {
			p.report(m.at(), m.sets()+" marks the socket for a single write; concurrent writers get each other's marks; dscp.UDPConn.WriteMarked marks a single datagram")
		}
	}
}

// inLoop reports whether a mark is in a loop, and its socket is not.
func inLoop(m *mark) bool {
	for _, o := range m.origins {
		if o.at == nil || o.kind == unknown {
			continue
		}
		made := false
		if instr, ok := o.at.(ssa.Instruction); ok && instr.Parent() == m.fn() {
			made = reachable(m.call.Block(), instr.Block())
		} else if o.at.Parent() != m.fn() {
			continue
		}
		if !made && reachable(m.call.Block(), m.call.Block()) {
			return true
		}
	}
	return false
}

// reachable reports whether control may pass from one block to another, in at
// least one step.
func reachable(from, to *ssa.BasicBlock) bool {
	seen := make(map[*ssa.BasicBlock]bool)
	var walk func(b *ssa.BasicBlock) bool
	walk = func(b *ssa.BasicBlock) bool {
		for _, s := range b.Succs {
			if s == to {
				return true
			}
			if !seen[s] {
				seen[s] = true
				if walk(s) {
					return true
				}
			}
		}
		return false
	}
	return walk(from)
}
