package dscpvet

import (
	"go/version"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// mptcp reports listeners whose IPv6 mark may be refused without an error. Since
// Go 1.24 a listener is a Multipath TCP socket where the kernel supports that, and
// such a socket refuses IPV6_TCLASS with EOPNOTSUPP. A hook that returns the error
// is right: net then listens with plain TCP, and calls the hook again.
func (p *program) mptcp() {
	if m := p.pass.Module; m != nil && p.pass.Pkg.Name() == "main" && m.GoVersion != "" && version.Compare("go"+m.GoVersion, "go1.24") < 0 {
		return // the main module decides: no Multipath TCP before go 1.24
	}
	reported := make(map[*mark]bool)
	for _, c := range p.configs() {
		if !c.listen || !mayUseMultipath(c) {
			continue
		}
		for _, m := range p.marks {
			for _, o := range m.origins {
				if o.kind != fromHook || !slices.Contains(c.hooks, o.at.Parent()) || m.options&ipv6TClass == 0 || reported[m] {
					continue
				}
				if m.lost || !p.reachesCaller(m.call.Value(), o.at.Parent()) {
					reported[m] = true
					p.report(m.at(), "Multipath TCP listeners, Go's default, refuse IPV6_TCLASS, and this hook does not return the error: return it, call SetMultipathTCP(false), or use dscp.ListenConfig")
				}
			}
		}
	}
	for _, m := range p.marks {
		for _, o := range m.origins {
			if o.kind == fromListen && o.proto&datagram == 0 && o.family != ipTOS && m.options&ipv6TClass != 0 && isMultipath(o) && !reported[m] &&
				(m.lost || !p.reachesCaller(m.call.Value(), m.fn())) {
				reported[m] = true
				p.report(m.at(), "Multipath TCP listeners, Go's default, refuse IPV6_TCLASS, and this error is not returned: use dscp.ListenConfig, which listens with plain TCP")
			}
		}
	}
}

// mayUseMultipath reports whether a configuration listens on TCP sockets that
// may be Multipath TCP ones.
func mayUseMultipath(c config) bool {
	listens := false
	for _, call := range c.calls {
		if call.off {
			return false
		}
		if call.method == "Listen" && call.origin.proto&datagram == 0 && call.origin.family != ipTOS {
			listens = true
		}
	}
	return listens
}

// isMultipath reports whether a listener comes from a function of net, which
// listens with Multipath TCP by default.
func isMultipath(o origin) bool {
	call, ok := o.at.(*ssa.Call)
	if !ok {
		return false
	}
	fn := call.Call.StaticCallee()
	if fn == nil {
		return false
	}
	path, _ := nameOf(fn)
	return path == "net" && fn.Signature.Recv() == nil
}
