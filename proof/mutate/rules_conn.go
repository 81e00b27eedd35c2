package main

const conn = "dscp/conn.go"

var connRules = part("Conn",
	mutation{
		rule: "Conn.SyscallConn is guarded", how: "it is net's own",
		file: conn, old: "return c.pin.guarded()", new: "return c.TCPConn.SyscallConn()", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "SetDSCP of another mark is ErrMidFlow", how: "nil",
		file: conn, old: "return c.pin.setDSCP(cp)", new: "return nil", test: "TestSetDSCP",
	},
	mutation{
		rule: "Verify reads the socket option", how: "it returns nil",
		file: conn, old: "return c.pin.verify()", new: "return nil", test: "TestVerify",
	},
	mutation{
		rule: "Pin never re-marks", how: "it clears the mark",
		file: conn, old: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", new: "conn := &Conn{TCPConn: c}\n\tif raw, err := c.SyscallConn(); err == nil {\n\t\t_ = tos.IPv4TOS.Set(raw, 0)\n\t}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", test: "TestPin",
	},
	mutation{
		rule: "if Pin fails the conn is left open", how: "it is closed",
		file: conn, old: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", new: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\tc.Close()\n\t\treturn nil, err", test: "TestUnpinnableConnIsClosed",
	},
	mutation{
		rule: "Pin(nil) is an error", how: "a panic",
		file: conn, old: "if c == nil {", new: "if false {", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "a dialled conn that cannot be pinned is closed", how: "it stays open",
		file: conn, old: "if err != nil {\n\t\tc.Close()\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// pinAccepted", new: "if err != nil {\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// pinAccepted", test: "TestUnpinnableConnIsClosed",
	},
	mutation{
		rule: "the error for a mark that cannot be read back names the mark", how: "it does not",
		file: conn, old: "\t\terr = conn.pin.unreadable(m.cp, err)\n", new: "", test: "TestUnreadableMarkIsMarkError",
	},
	mutation{
		rule: "an accepted conn that cannot be pinned is closed", how: "it stays open",
		file: conn, old: "if err != nil {\n\t\tc.Close()\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// inherits", new: "if err != nil {\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// inherits", test: "TestUnpinnableConnIsClosed",
	},
	mutation{
		rule: "an accepted conn has its listener's mark", how: "it is not read",
		file: conn, old: "err = m.tolerate(conn.inherits(m.cp))", new: "err = nil", test: "TestAcceptedConnWithoutTheMark",
	},
	mutation{
		rule: "AllowUnmarked accepts a conn without the mark", how: "it fails",
		file: conn, old: "err = m.tolerate(conn.inherits(m.cp))", new: "err = conn.inherits(m.cp)", test: "TestAcceptedConnWithoutTheMark",
	},
	mutation{
		rule: "an unmarked listener requires no mark", how: "it requires DF",
		file: conn, old: "if cp == DF || cp == c.pin.cp {", new: "if cp == c.pin.cp {", test: "TestUnmarkedListenerAcceptsAnyMark",
	},
	mutation{
		rule: "a conn with the mark of its SYN (tcp_reflect_tos) is accepted", how: "it is refused",
		file: conn, old: "if c.peerKnown && c.peer == c.pin.cp ||", new: "if", test: "TestWireReflected",
	},
	mutation{
		rule: "with SYN cookies, too, where no SYN is saved", how: "it is refused",
		file: conn, old: "!c.peerKnown && tos.Reflects() {", new: "false && tos.Reflects() {", test: "TestWireSynCookiesReflected",
	},
	mutation{
		rule: "accept loops continue after a conn without its mark", how: "they end",
		file: conn, old: "Err: passing{notInherited(c.pin.cp.TOS())},", new: "Err: notInherited(c.pin.cp.TOS()),", test: "TestAcceptedConnWithoutTheMark",
	},
	mutation{
		rule: "PeerDSCP is the mark of the peer's SYN", how: "the conn's own",
		file: conn, old: "conn.peer, conn.peerKnown = FromTOS(octet), ok", new: "_ = octet\n\tconn.peer, conn.peerKnown = conn.pin.cp, ok", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "TCP_SAVED_SYN answers once: PeerDSCP keeps it", how: "it asks each time",
		file: conn, old: "return c.peer, c.peerKnown }", new: "octet, ok := tos.SavedSYN(c.pin.raw); return FromTOS(octet), ok }", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "PeerDSCP of a dialled conn answers false", how: "true",
		file: conn, old: "func pinDialed(c *net.TCPConn, m marking) (*Conn, error) {\n\tconn := &Conn{TCPConn: c}", new: "func pinDialed(c *net.TCPConn, m marking) (*Conn, error) {\n\tconn := &Conn{TCPConn: c, peerKnown: true}", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "Of finds the conn under NetConn", how: "only the conn itself",
		file: conn, old: "c = under(v)", new: "return nil, false", test: "TestOf",
	},
	mutation{
		rule: "Of returns for wrappers that contain themselves", how: "it does not",
		file: conn, old: "for range 32 {", new: "for c != (*Conn)(nil) {", test: "TestOf",
	},
	mutation{
		rule: "Of does not return a nil conn", how: "it does",
		file: conn, old: "return v, v != nil", new: "return v, true", test: "TestOf",
	},
	mutation{
		rule: "Of recovers from a NetConn that panics", how: "it does not",
		file: conn, old: "if recover() != nil {", new: "if false {", test: "TestOf",
	},
	mutation{
		rule: "ReadFrom unwraps a Conn, so that net can splice", how: "it passes it on",
		file: conn, old: "if src := bareOf(r); src != nil {\n\t\tr = src\n\t} else if", new: "if", test: "TestFastPaths",
	},
	mutation{
		rule: "also inside an io.LimitedReader", how: "not there",
		file: conn, old: "r = bare\n", new: "", test: "TestFastPaths",
	},
	mutation{
		rule: "the LimitedReader of the caller counts down", how: "it does not",
		file: conn, old: "defer func() { v.N = bare.N }()\n", new: "", test: "TestReadFromKeepsCount",
	},
	mutation{
		rule: "WriteTo passes the bare conn only to types of net and os", how: "to every writer",
		file: conn, old: "n, err := io.Copy(w, connWithoutWriteTo{c})", new: "n, err := c.TCPConn.WriteTo(w)", test: "TestCopyHandsOutNoBareConn",
	},
)
