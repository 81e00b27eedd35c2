package dscpvet

import "go/ast"

// cmsg reports control messages that set the traffic class of one datagram.
// They replace the socket's mark and its ECN bits together: one that is meant
// for ECN alone wipes the DSCP, and the other way round.
func (p *program) cmsg() {
	report := func(n ast.Node, field ast.Expr, value ast.Expr) {
		var id *ast.Ident
		switch f := ast.Unparen(field).(type) {
		case *ast.Ident:
			id = f
		case *ast.SelectorExpr:
			id = f.Sel
		default:
			return
		}
		obj := p.pass.TypesInfo.Uses[id]
		if obj == nil || obj.Pkg() == nil {
			return
		}
		constant := p.constantName(value)
		switch path := unvendored(obj.Pkg().Path()); {
		case path == "golang.org/x/net/ipv6" && id.Name == "TrafficClass",
			isSyscall(path) && id.Name == "Type" && (constant == "IP_TOS" || constant == "IPV6_TCLASS"):
			p.report(n, "this control message replaces the mark and the ECN bits of the datagram: include both; the write methods of dscp.UDPConn add the mark")
		}
	}
	for _, f := range p.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					report(n, key, n.Value)
				}
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					if i < len(n.Rhs) {
						report(n, l, n.Rhs[i])
					}
				}
			}
			return true
		})
	}
}
