package dscpvet

import (
	"fmt"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// late reports marks on established TCP connections. The SYN, or the SYN-ACK, was
// sent without the mark, and the mark changes within the flow. Datagram sockets
// have no SYN: a mark that is set before the first write is in time.
func (p *program) late() {
	verdicts := make(map[*mark]*origin) // of late marks
	for _, m := range p.marks {
		for _, o := range m.origins {
			// Of several origins an accepted connection is the clearest fault: a
			// hook may have marked a dialed one before.
			if p.isLate(m, o) && (verdicts[m] == nil || o.kind == fromAccept) {
				verdicts[m] = &o
			}
		}
	}
	// A function that marks its parameter is at fault itself if every caller in
	// the package passes an established connection: then the call of the setter is
	// reported. Where callers differ, the late calls are reported.
	for moved := true; moved; {
		moved = false
		for _, m := range p.marks {
			if verdicts[m] != nil {
				continue
			}
			calls := p.callsThatMark(m)
			if len(calls) == 0 || slices.ContainsFunc(calls, func(c *mark) bool { return verdicts[c] == nil }) {
				continue
			}
			verdicts[m], moved = verdicts[calls[0]], true
		}
	}
	above := make(map[*mark]bool) // calls of functions that are at fault themselves
	for m := range verdicts {
		for _, c := range p.callsThatMark(m) {
			above[c] = true
		}
	}
	for _, m := range p.marks {
		if o := verdicts[m]; o != nil && !above[m] {
			p.report(m.at(), p.lateMessage(m, *o))
		}
	}
}

// callsThatMark returns the calls in the package that pass the connection that m
// marks.
func (p *program) callsThatMark(m *mark) []*mark {
	var calls []*mark
	for _, o := range m.origins {
		param, ok := o.at.(*ssa.Parameter)
		if !ok || o.kind != fromParameter || o.within || !isConn(param.Type()) {
			continue
		}
		for _, c := range p.marks {
			if c.helper && generic(c.call.Common().StaticCallee()) == param.Parent() && c.socket == c.call.Common().Args[slices.Index(param.Parent().Params, param)] {
				calls = append(calls, c)
			}
		}
	}
	return calls
}

func (p *program) isLate(m *mark, o origin) bool {
	if o.proto&(guarded|file) == guarded|file || o.proto&datagram != 0 && o.proto&tcp == 0 {
		return false
	}
	switch o.kind {
	case fromDial, fromAccept:
		return o.proto&datagram == 0
	case fromSocket:
		return o.proto&datagram == 0 && p.connected(m, o.at)
	case fromParameter:
		// The callers are reported, unless the package has none. Then a
		// *net.TCPConn is established in any case, and a function that also reads,
		// writes or closes the connection is not a setter for others.
		param := o.at.(*ssa.Parameter)
		return !o.within && o.proto&stream != 0 && o.proto&datagram == 0 && len(p.callers[param.Parent()]) == 0 &&
			(o.proto&tcp != 0 || serves(param))
	case unknown:
		return o.proto&stream != 0 && o.proto&datagram == 0
	}
	return false
}

// serves reports whether a function does more with a connection than mark it.
func serves(param *ssa.Parameter) bool {
	for _, r := range references(param) {
		call, ok := r.(ssa.CallInstruction)
		if !ok {
			continue
		}
		c := call.Common()
		name := ""
		if c.IsInvoke() && c.Value == param {
			name = c.Method.Name()
		} else if fn := c.StaticCallee(); fn != nil && fn.Signature.Recv() != nil && c.Args[0] == param {
			name = fn.Name()
		}
		switch name {
		case "Read", "Write", "Close", "SetDeadline", "SetReadDeadline", "SetWriteDeadline":
			return true
		}
	}
	return false
}

// connected reports whether the function connects the descriptor before it
// marks it.
func (p *program) connected(m *mark, fd ssa.Value) bool {
	for _, b := range m.fn().Blocks {
		for _, instr := range b.Instrs {
			call, ok := instr.(*ssa.Call)
			if !ok {
				continue
			}
			callee := call.Call.StaticCallee()
			if callee == nil {
				continue
			}
			if path, name := nameOf(callee); !isSyscall(path) || name != "Connect" || len(call.Call.Args) == 0 {
				continue
			}
			for _, o := range p.origins(call.Call.Args[0]) {
				if o.at == fd && before(call, m.call) {
					return true
				}
			}
		}
	}
	return false
}

// before reports whether a has run whenever b runs.
func before(a, b ssa.Instruction) bool {
	if a.Block() != b.Block() {
		return a.Block().Dominates(b.Block())
	}
	for _, instr := range a.Block().Instrs {
		switch instr {
		case a:
			return true
		case b:
			return false
		}
	}
	return false
}

func (p *program) lateMessage(m *mark, o origin) string {
	if o.proto&guarded != 0 {
		return fmt.Sprintf("%s on a connection of package dscp fails with ErrMidFlow: its mark is set before connect and does not change; set DSCP in dscp.Dialer or dscp.ListenConfig", m.sets())
	}
	what := "a connection that is up"
	cure := "dscp.Dialer{DSCP: …} marks before connect, dscp.ListenConfig{DSCP: …} before listen"
	switch o.kind {
	case fromDial, fromSocket:
		what = "a connection that is up" + p.since(m, o, "dialed")
		cure = "dscp.Dialer{DSCP: …} marks before connect"
	case fromAccept:
		what = "a connection that is up" + p.since(m, o, "accepted")
		cure = "dscp.ListenConfig{DSCP: …} marks before listen"
	}
	return fmt.Sprintf("%s marks %s: the SYN was sent without the mark, and NATs such as VMware's are reported to reset a connection whose mark changes; %s", m.sets(), what, cure)
}

// since says where a connection came up, if that is in the same file.
func (p *program) since(m *mark, o origin, verb string) string {
	at, here := p.pass.Fset.Position(o.at.Pos()), p.pass.Fset.Position(m.call.Pos())
	if !at.IsValid() {
		return ""
	}
	if at.Filename != here.Filename {
		return fmt.Sprintf(" (%s in another file)", verb)
	}
	return fmt.Sprintf(" (%s on line %d)", verb, at.Line)
}
