package dscpvet

import (
	"go/token"
	"go/types"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A kind is the way in which a socket was made.
type kind int

const (
	unknown       kind = iota
	fromDial           // a function that connects returned it
	fromAccept         // a function that accepts connections returned it
	fromListen         // a listener
	fromPacket         // an unconnected packet socket
	fromSocket         // a system call made it
	fromParameter      // the caller passes it
	fromHook           // net passes it to a Control function, before connect or bind
	fromEscape         // File or the embedded connection of a connection of package dscp
)

// protocols are hints at what a socket speaks, from types and network names.
type protocols uint8

const (
	stream   protocols = 1 << iota // a net.Conn, which may be TCP
	tcp                            // certainly TCP
	datagram                       // UDP, raw IP, a Unix socket: anything without a SYN
	raw                            // raw IP
	guarded                        // a connection of package dscp, through its own methods
	file                           // through File
)

// An origin is the place where a socket was made, as far as the package shows.
type origin struct {
	kind    kind
	at      ssa.Value // the call, parameter or other value that the trace ended at
	proto   protocols
	network string  // a constant, or a constant prefix; "" if not known
	family  options // that the socket can have, as constants show; 0 if not known
	host    string  // the constant address to listen on
	fixed   bool    // host is known
	within  bool    // at holds the socket in a field
}

// A tracer follows a value back to where it came from.
type tracer struct {
	p     *program
	seen  map[ssa.Value]bool
	bound map[*ssa.Parameter]ssa.Value // arguments of calls that were stepped into
	depth int
	found []origin

	stored int // above 0 while the trace follows values that are stored in a field
}

// origins returns where a socket comes from.
func (p *program) origins(v ssa.Value) []origin {
	t := &tracer{p: p, seen: make(map[ssa.Value]bool), bound: make(map[*ssa.Parameter]ssa.Value)}
	t.trace(v, 0)
	return t.found
}

func (t *tracer) end(k kind, at ssa.Value, proto protocols) {
	t.found = append(t.found, origin{kind: k, at: at, proto: proto})
}

func (t *tracer) trace(v ssa.Value, proto protocols) {
	if v == nil || t.seen[v] {
		return
	}
	t.seen[v] = true
	proto |= hints(v.Type())
	switch x := v.(type) {
	case *ssa.MakeInterface:
		t.trace(x.X, proto)
	case *ssa.ChangeInterface:
		t.trace(x.X, proto)
	case *ssa.ChangeType:
		t.trace(x.X, proto)
	case *ssa.Convert:
		t.trace(x.X, proto)
	case *ssa.TypeAssert:
		t.trace(x.X, proto)
	case *ssa.Phi:
		for _, e := range x.Edges {
			t.trace(e, proto)
		}
	case *ssa.Extract:
		switch tuple := x.Tuple.(type) {
		case *ssa.Call:
			t.call(tuple, x.Index, proto)
		case *ssa.TypeAssert:
			t.trace(tuple.X, proto)
		default:
			t.end(unknown, x, proto)
		}
	case *ssa.Call:
		t.call(x, 0, proto)
	case *ssa.Parameter:
		t.parameter(x, proto)
	case *ssa.FreeVar:
		if b := binding(x); b != nil {
			t.trace(b, proto)
		} else {
			t.end(unknown, x, proto)
		}
	case *ssa.Alloc:
		t.alloc(x, proto)
	case *ssa.UnOp:
		if x.Op == token.MUL {
			t.load(x.X, proto)
		} else {
			t.end(unknown, x, proto)
		}
	case *ssa.Field:
		t.field(x.X, fieldOf(x.X.Type(), x.Field), x, proto)
	case *ssa.FieldAddr:
		t.field(x.X, fieldOf(x.X.Type(), x.Field), x, proto)
	case *ssa.Const: // nil, or the zero descriptor
	default:
		t.end(unknown, v, proto)
	}
}

// load follows *addr.
func (t *tracer) load(addr ssa.Value, proto protocols) {
	switch x := addr.(type) {
	case *ssa.FieldAddr:
		t.field(x.X, fieldOf(x.X.Type(), x.Field), x, proto)
	case *ssa.Global:
		if x.Object() != nil && len(t.p.stores[x.Object()]) > 0 {
			for _, s := range t.p.stores[x.Object()] {
				t.trace(s, proto)
			}
			return
		}
		t.end(unknown, x, proto)
	case *ssa.FreeVar:
		if b := binding(x); b != nil {
			t.load(b, proto)
			return
		}
		t.end(unknown, x, proto)
	default:
		t.trace(addr, proto)
	}
}

// alloc follows a variable to the values that are assigned to it, function literals
// included.
func (t *tracer) alloc(a *ssa.Alloc, proto protocols) {
	stored := storesTo(a)
	for _, v := range stored {
		t.trace(v, proto)
	}
	if len(stored) == 0 {
		t.end(unknown, a, proto)
	}
}

// storesTo returns the values that are assigned to a variable, by its function and
// by the literals that capture it.
func storesTo(addr ssa.Value) []ssa.Value {
	var stored []ssa.Value
	for _, r := range references(addr) {
		if s, ok := r.(*ssa.Store); ok && s.Val != addr {
			stored = append(stored, s.Val)
		}
	}
	return stored
}

// references returns the instructions that use a variable, also as a captured
// variable of function literals.
func references(addr ssa.Value) []ssa.Instruction {
	var all []ssa.Instruction
	if addr.Referrers() == nil {
		return nil
	}
	for _, r := range *addr.Referrers() {
		m, ok := r.(*ssa.MakeClosure)
		if !ok {
			all = append(all, r)
			continue
		}
		fn := m.Fn.(*ssa.Function)
		for i, b := range m.Bindings {
			if b == addr && i < len(fn.FreeVars) {
				all = append(all, references(fn.FreeVars[i])...)
			}
		}
	}
	return all
}

// field follows a field of a struct: to the struct itself if that is a wrapper of
// x/net, and otherwise to the values that the package assigns to the field.
func (t *tracer) field(of ssa.Value, f *types.Var, at ssa.Value, proto protocols) {
	path, name := namedOf(of.Type())
	switch {
	case f == nil:
		t.end(unknown, at, proto)
		return
	case path == dscpPath && (name == "Conn" || name == "UDPConn" || name == "Listener"):
		if f.Embedded() {
			t.end(fromEscape, at, proto)
		}
		return
	case isXNet(path), f.Embedded() && f.Pkg() != t.p.pass.Pkg:
		t.trace(of, proto)
		return
	}
	proto |= hints(f.Type())
	// If the struct is a parameter, the callers have the socket.
	if held := onlyStore(of); held != nil {
		of = held // a parameter that is a struct, in memory
	}
	if base := t.p.parameter(of); base != nil && t.bound[base] == nil && t.stored == 0 {
		t.found = append(t.found, origin{kind: fromParameter, at: base, proto: proto, within: true})
	}
	stored := t.p.stores[f]
	if len(stored) == 0 {
		t.end(unknown, at, proto)
		return
	}
	t.stored++
	for _, s := range stored {
		t.trace(s, proto)
	}
	t.stored--
}

func isXNet(path string) bool {
	return path == "golang.org/x/net/ipv4" || path == "golang.org/x/net/ipv6" || path == "golang.org/x/net/icmp"
}

// parameter ends at a parameter, or follows the argument of a known caller.
func (t *tracer) parameter(v *ssa.Parameter, proto protocols) {
	if arg := t.bound[v]; arg != nil {
		t.trace(arg, proto)
		return
	}
	fn := v.Parent()
	if t.stored > 0 {
		// This function only stores the socket: the trace came from a field.
		i := slices.Index(fn.Params, v)
		for _, call := range t.p.callers[fn] {
			if args := call.Common().Args; i < len(args) {
				t.trace(args[i], proto)
			}
		}
		if len(t.p.callers[fn]) == 0 {
			t.end(unknown, v, proto)
		}
		return
	}
	if isHook(fn.Signature) && isRawConn(v.Type()) {
		t.end(fromHook, v, proto)
		return
	}
	if fn.Parent() != nil && isInteger(v.Type()) {
		// The descriptor that RawConn.Control, or a function like it, passes.
		if holders := holdersOf(fn); len(holders) > 0 {
			for _, h := range holders {
				t.trace(h, proto)
			}
			return
		}
	}
	if isConn(v.Type()) && len(t.p.callers[fn]) == 0 && !exported(fn) {
		// A callback: ConnState of net/http, and the like.
		t.end(unknown, v, proto)
		return
	}
	t.end(fromParameter, v, proto)
}

// exported reports whether other packages can call a function.
func exported(fn *ssa.Function) bool {
	return fn.Object() != nil && fn.Object().Exported()
}

// holdersOf returns the sockets among the receiver and the arguments of the
// calls that a function literal is passed to.
func holdersOf(fn *ssa.Function) []ssa.Value {
	var holders []ssa.Value
	var uses func(v ssa.Value, depth int)
	uses = func(v ssa.Value, depth int) {
		if v.Referrers() == nil || depth == 0 {
			return
		}
		for _, r := range *v.Referrers() {
			switch r := r.(type) {
			case *ssa.MakeClosure:
				uses(r, depth-1)
			case *ssa.ChangeType:
				uses(r, depth-1)
			case *ssa.MakeInterface:
				uses(r, depth-1)
			case ssa.CallInstruction:
				c := r.Common()
				if c.IsInvoke() {
					holders = append(holders, c.Value)
					continue
				}
				for _, arg := range c.Args {
					if arg != v && (isConn(arg.Type()) || isRawConn(arg.Type()) || isReceiver(c, arg)) {
						holders = append(holders, arg)
						break
					}
				}
			}
		}
	}
	uses(fn, 3)
	return holders
}

func isReceiver(c *ssa.CallCommon, arg ssa.Value) bool {
	return c.Signature().Recv() != nil && len(c.Args) > 0 && c.Args[0] == arg
}

// call follows result i of a call.
func (t *tracer) call(call *ssa.Call, i int, proto protocols) {
	c := call.Common()
	name := c.Value.Name()
	path := ""
	var args []ssa.Value
	if c.IsInvoke() {
		name = c.Method.Name()
		if c.Method.Pkg() != nil {
			path = unvendored(c.Method.Pkg().Path())
		}
		args = c.Args
	} else if callee := c.StaticCallee(); callee != nil {
		path, name = nameOf(callee)
		args = c.Args
		if callee.Signature.Recv() != nil && len(args) > 0 {
			args = args[1:]
		}
	} else {
		args = c.Args
	}
	receiver := c.Value
	if !c.IsInvoke() {
		receiver = nil
		if c.Signature().Recv() != nil && len(c.Args) > 0 {
			receiver = c.Args[0]
		}
	}
	result := c.Signature().Results()
	if i >= result.Len() {
		t.end(unknown, call, proto)
		return
	}
	proto |= hints(result.At(i).Type())

	switch {
	case receiver != nil && passesOn(name) && len(args) == 0:
		if name == "File" {
			proto |= file
		}
		t.trace(receiver, proto)
	case isXNet(path) && (name == "NewConn" || name == "NewPacketConn" || name == "NewRawConn"):
		t.trace(args[0], proto)
	case path == "crypto/tls" && (name == "Client" || name == "Server" || name == "NewListener"):
		t.trace(args[0], proto)
	case path == "os" && name == "NewFile":
		t.trace(args[0], proto)
	case path == dscpPath && name == "Of":
		t.trace(args[0], proto|guarded)
	case isSyscall(path) && strings.HasPrefix(name, "Accept"):
		t.end(fromAccept, call, proto)
	case isSyscall(path) && strings.Contains(name, "Socket"):
		t.socket(call, args, proto)
	case path == "net" && (strings.HasPrefix(name, "File")):
		t.trace(args[0], proto)
	case isAccept(name) && (path == dscpPath || isConn(result.At(i).Type())):
		if path == dscpPath {
			proto |= guarded
		}
		o := origin{kind: fromAccept, at: call, proto: proto}
		if receiver != nil {
			// The listener knows the network.
			for _, l := range t.p.origins(receiver) {
				if l.kind == fromListen {
					o.network, o.family, o.proto = l.network, l.family, o.proto|l.proto&(tcp|datagram|raw)
				}
			}
		}
		t.found = append(t.found, o)
	case isListen(name) && isSocket(result.At(i).Type()):
		t.listen(call, name, args, proto)
	case isDial(name) && isSocket(result.At(i).Type()) && !t.inPackage(c):
		if path == dscpPath {
			proto |= guarded
		}
		t.dial(call, name, args, proto)
	case t.inPackage(c):
		t.step(call, c.StaticCallee(), i, proto)
	case isConn(result.At(i).Type()) && isDialFunc(c):
		t.dial(call, name, args, proto)
	default:
		// A function with one socket among its arguments that returns a socket,
		// or a descriptor, most likely returns that one.
		var given []ssa.Value
		for _, a := range c.Args {
			if isSocket(a.Type()) {
				given = append(given, a)
			}
		}
		if len(given) == 1 && (isSocket(result.At(i).Type()) || isInteger(result.At(i).Type())) {
			t.trace(given[0], proto)
			return
		}
		t.end(unknown, call, proto|nameHints(name))
	}
}

// inPackage reports whether a call is of a function whose body is here.
func (t *tracer) inPackage(c *ssa.CallCommon) bool {
	fn := c.StaticCallee()
	return fn != nil && len(fn.Blocks) > 0 && t.depth < 4
}

// step follows result i of a function of this package.
func (t *tracer) step(call *ssa.Call, fn *ssa.Function, i int, proto protocols) {
	for j, param := range fn.Params {
		if j < len(call.Call.Args) && t.bound[param] == nil {
			t.bound[param] = call.Call.Args[j]
		}
	}
	t.depth++
	defer func() { t.depth-- }()
	before := len(t.found)
	for _, b := range fn.Blocks {
		if ret, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && i < len(ret.Results) {
			t.trace(ret.Results[i], proto)
		}
	}
	if len(t.found) == before {
		t.end(unknown, call, proto|nameHints(fn.Name()))
	}
}

// dial ends at a call that connects.
func (t *tracer) dial(call *ssa.Call, name string, args []ssa.Value, proto protocols) {
	o := origin{kind: fromDial, at: call, proto: proto | nameHints(name)}
	t.addresses(&o, args)
	t.found = append(t.found, o)
}

// listen ends at a call that makes a listener or a packet socket.
func (t *tracer) listen(call *ssa.Call, name string, args []ssa.Value, proto protocols) {
	o := origin{kind: fromListen, at: call, proto: proto | nameHints(name)}
	t.addresses(&o, args)
	if name == "ListenPacket" || o.proto&datagram != 0 {
		o.kind = fromPacket
		o.proto |= datagram
	}
	t.found = append(t.found, o)
}

// addresses reads the arguments of a dial or a listen: the network, which is the
// first string, and the addresses after it.
func (t *tracer) addresses(o *origin, args []ssa.Value) {
	for i, a := range args {
		if b, ok := a.Type().Underlying().(*types.Basic); !ok || b.Kind() != types.String {
			continue
		}
		o.network, o.family = t.network(a)
		o.proto |= networkHints(o.network)
		for _, a := range args[i+1:] {
			t.address(o, a)
		}
		return
	}
}

// network returns a constant network name, or its constant prefix, and its family.
func (t *tracer) network(v ssa.Value) (string, options) {
	switch x := v.(type) {
	case *ssa.Const:
		s, _ := stringOf(x)
		return s, familyOf(s)
	case *ssa.BinOp:
		s, _ := t.network(x.X)
		return s, 0
	case *ssa.Phi:
		var names []string
		var family options
		for _, e := range x.Edges {
			if _, ok := e.(*ssa.Phi); ok {
				return "", 0 // may be a loop
			}
			s, f := t.network(e)
			names = append(names, s)
			if f == 0 {
				f = both
			}
			family |= f
		}
		return commonPrefix(names), family
	case *ssa.Parameter:
		if a := t.bound[x]; a != nil {
			return t.network(a)
		}
	case *ssa.Call:
		if fn := x.Call.StaticCallee(); fn != nil && fn.Name() == "Sprintf" && len(x.Call.Args) > 0 {
			s, _ := stringOf(x.Call.Args[0])
			s, _, _ = strings.Cut(s, "%")
			return s, 0
		}
	}
	return "", 0
}

func commonPrefix(names []string) string {
	first := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, first) {
			first = first[:len(first)-1]
		}
	}
	return first
}

// familyOf returns the options that the sockets of a network have.
func familyOf(network string) options {
	network, _, _ = strings.Cut(network, ":")
	switch {
	case strings.HasSuffix(network, "4"):
		return ipTOS
	case strings.HasSuffix(network, "6"):
		return ipv6TClass
	case network != "":
		return both
	}
	return 0
}

func networkHints(network string) protocols {
	switch {
	case hasPrefixFold(network, "tcp"):
		return tcp
	case hasPrefixFold(network, "udp"), hasPrefixFold(network, "unix"):
		return datagram
	case hasPrefixFold(network, "ip"):
		return datagram | raw
	}
	return 0
}

// address narrows the family by an address: a constant, or one that was resolved
// for, or is a literal of, one family.
func (t *tracer) address(o *origin, v ssa.Value) {
	if s, ok := stringOf(v); ok {
		host, _, err := net.SplitHostPort(s)
		if err != nil {
			return
		}
		o.host, o.fixed = host, true
		host, _, _ = strings.Cut(host, "%")
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
			o.family = ipTOS
		} else if err == nil && !ip.IsUnspecified() {
			o.family = ipv6TClass
		}
		return
	}
	if path, _ := namedOf(v.Type()); path != "net" {
		return
	}
	switch x := v.(type) {
	case *ssa.Const: // a nil address: the wildcard
		if o.kind == fromListen {
			o.fixed = true
		}
	case *ssa.MakeInterface:
		t.address(o, x.X)
	case *ssa.Extract:
		if call, ok := x.Tuple.(*ssa.Call); ok {
			if fn := call.Call.StaticCallee(); fn != nil && strings.HasPrefix(fn.Name(), "Resolve") && len(call.Call.Args) > 0 {
				if _, f := t.network(call.Call.Args[0]); f == ipTOS || f == ipv6TClass {
					o.family = f
				}
				if len(call.Call.Args) > 1 {
					if s, ok := stringOf(call.Call.Args[1]); ok && s != "" {
						t.address(o, call.Call.Args[1])
					}
				}
			}
		}
	case *ssa.Alloc:
		t.literal(o, x)
	}
}

// literal narrows the family by an address literal, &net.UDPAddr{…}.
func (t *tracer) literal(o *origin, a *ssa.Alloc) {
	wildcard := true
	for _, r := range *a.Referrers() {
		f, ok := r.(*ssa.FieldAddr)
		if !ok || fieldOf(f.X.Type(), f.Field).Name() != "IP" {
			continue
		}
		wildcard = false
		for _, s := range storesTo(f) {
			switch x := s.(type) {
			case *ssa.Call:
				fn := x.Call.StaticCallee()
				if fn == nil {
					continue
				}
				if path, name := nameOf(fn); path == "net" && (name == "IPv4" || name == "To4") {
					o.family = ipTOS
				}
				if len(x.Call.Args) == 1 {
					if s, ok := stringOf(x.Call.Args[0]); ok {
						if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() {
							o.family = ipTOS
						}
					}
				}
			case *ssa.UnOp:
				if g, ok := x.X.(*ssa.Global); ok && strings.HasPrefix(g.Name(), "IPv4") {
					o.family = ipTOS
				}
			}
		}
	}
	if wildcard && o.kind != fromDial {
		o.fixed = true
	}
}

// socket ends at a system call that makes a socket.
func (t *tracer) socket(call *ssa.Call, args []ssa.Value, proto protocols) {
	o := origin{kind: fromSocket, at: call, proto: proto}
	if len(args) > 0 {
		switch t.p.constantName(t.p.argument(call, 0)) {
		case "AF_INET", "PF_INET":
			o.family = ipTOS
		case "AF_INET6", "PF_INET6":
			o.family = both
		}
	}
	if len(args) > 1 {
		typ := args[1]
		if or, ok := typ.(*ssa.BinOp); ok {
			typ = or.X
		}
		switch n, ok := intOf(typ); {
		case ok && n&0xf == 1:
			o.proto |= tcp
		case ok && n&0xf == 2:
			o.proto |= datagram
		case ok:
			o.proto |= datagram | raw
		}
	}
	t.found = append(t.found, o)
}

// hints returns the protocols that a type implies.
func hints(t types.Type) protocols {
	path, name := namedOf(t)
	switch path {
	case "net":
		switch name {
		case "Conn":
			return stream
		case "TCPConn":
			return stream | tcp
		case "UDPConn", "PacketConn", "UnixConn", "UnixListener":
			return datagram
		case "IPConn":
			return datagram | raw
		}
	case "crypto/tls":
		if name == "Conn" {
			return stream | tcp
		}
	case "golang.org/x/net/icmp":
		return datagram | raw
	case "golang.org/x/net/ipv4", "golang.org/x/net/ipv6":
		switch name {
		case "PacketConn":
			return datagram
		case "RawConn":
			return datagram | raw
		}
	case dscpPath:
		switch name {
		case "Conn":
			return stream | tcp | guarded
		case "UDPConn":
			return datagram | guarded
		}
	default:
		if strings.Contains(name, "UDP") {
			return datagram
		}
	}
	return 0
}

// nameHints returns the protocols that the name of a function implies for the
// sockets that it makes.
func nameHints(name string) protocols {
	lower := strings.ToLower(name)
	for _, s := range []string{"udp", "packet", "quic", "unix", "icmp", "multicast"} {
		if strings.Contains(lower, s) {
			return datagram
		}
	}
	switch {
	case name == "DialIP", name == "ListenIP":
		return datagram | raw
	case strings.Contains(lower, "tcp"):
		return tcp
	}
	return 0
}

// passesOn reports whether a method without arguments returns the socket of its
// receiver in another form.
func passesOn(name string) bool {
	return slices.Contains([]string{
		"SyscallConn", "File", "Fd", "NetConn", "UnderlyingConn", "NetListener",
		"RawConn", "IPv4PacketConn", "IPv6PacketConn",
	}, name)
}

func isAccept(name string) bool { return strings.HasPrefix(name, "Accept") }

func isDial(name string) bool {
	return hasPrefixFold(name, "dial") || name == "connect" || name == "Connect"
}

func isListen(name string) bool { return hasPrefixFold(name, "listen") }

// isDialFunc reports whether the callee has the arguments of a dial function: a
// network and an address.
func isDialFunc(c *ssa.CallCommon) bool {
	n := 0
	for _, a := range c.Args {
		if b, ok := a.Type().Underlying().(*types.Basic); ok && b.Kind() == types.String {
			n++
		}
	}
	return n == 2
}

// isHook reports whether a signature is that of net.Dialer.Control,
// net.Dialer.ControlContext and net.ListenConfig.Control.
func isHook(sig *types.Signature) bool {
	n := sig.Params().Len()
	return n >= 3 && n <= 4 && isString(sig.Params().At(n-3).Type()) && isString(sig.Params().At(n-2).Type()) && isRawConn(sig.Params().At(n-1).Type())
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.String
}

func isInteger(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0
}

func isRawConn(t types.Type) bool {
	path, name := namedOf(t)
	return path == "syscall" && name == "RawConn"
}

// isConn reports whether a type is net.Conn or has its methods.
func isConn(t types.Type) bool {
	return hasMethods(t, "LocalAddr", "RemoteAddr", "SetReadDeadline", "Close")
}

// isSocket reports whether a type is a connection, a packet socket, a listener,
// a file or a RawConn.
func isSocket(t types.Type) bool {
	if path, name := namedOf(t); path == "os" && name == "File" || isXNet(path) {
		return true
	}
	return isConn(t) || isRawConn(t) || hasMethods(t, "LocalAddr", "ReadFrom", "Close") || hasMethods(t, "Accept", "Addr", "Close")
}

func hasMethods(t types.Type, names ...string) bool {
	if _, ok := t.Underlying().(*types.Basic); ok {
		return false
	}
	for _, name := range names {
		if obj, _, _ := types.LookupFieldOrMethod(t, true, nil, name); obj == nil {
			return false
		} else if _, ok := obj.(*types.Func); !ok {
			return false
		}
	}
	return true
}
