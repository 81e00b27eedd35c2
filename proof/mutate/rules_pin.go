package main

const conn = "dscp/conn.go"

var pinRules = part("How a conn is pinned",
	mutation{
		rule: "Conn.SyscallConn is guarded", how: "it is net's own",
		file: conn, old: "return c.pin.guarded()", new: "return c.TCPConn.SyscallConn()", test: "TestXNetIsRefused",
	},
	mutation{
		rule: "SetDSCP of another mark is ErrMidFlow", how: "nil",
		file: conn, old: "return c.pin.setDSCP(cp)", new: "return nil", test: "TestSetDSCP",
	},
	mutation{
		rule: "Verify asks the kernel", how: "it is content",
		file: conn, old: "return c.pin.verify()", new: "return nil", test: "TestVerify",
	},
	mutation{
		rule: "Pin never re-marks", how: "it clears the mark",
		file: conn, old: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", new: "conn := &Conn{TCPConn: c}\n\tif raw, err := c.SyscallConn(); err == nil {\n\t\t_ = ipTOS.set(raw, 0)\n\t}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", test: "TestPin",
	},
	mutation{
		rule: "if Pin fails the conn is left open", how: "it is closed",
		file: conn, old: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\treturn nil, err", new: "conn := &Conn{TCPConn: c}\n\tif err := conn.pin.set(c); err != nil {\n\t\tc.Close()\n\t\treturn nil, err", test: "TestWhatCannotBePinnedIsClosed",
	},
	mutation{
		rule: "Pin(nil) is an error", how: "a panic",
		file: conn, old: "if c == nil {", new: "if false {", test: "TestBadInputElsewhere",
	},
	mutation{
		rule: "a dialled conn that cannot be pinned is closed", how: "it stays open",
		file: conn, old: "if err != nil {\n\t\tc.Close()\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// pinAccepted", new: "if err != nil {\n\t\treturn nil, err\n\t}\n\treturn conn, nil\n}\n\n// pinAccepted", test: "TestWhatCannotBePinnedIsClosed",
	},
	mutation{
		rule: "an accepted conn that cannot be pinned is closed", how: "it stays open",
		file: conn, old: "conn, err := Pin(c)\n\tif err != nil {\n\t\tc.Close()\n", new: "conn, err := Pin(c)\n\tif err != nil {\n", test: "TestWhatCannotBePinnedIsClosed",
	},
	mutation{
		rule: "PeerDSCP is the mark of the peer's SYN", how: "the conn's own",
		file: conn, old: "conn.peer, conn.peerKnown = FromTOS(octet), ok", new: "_ = octet\n\tconn.peer, conn.peerKnown = conn.pin.cp, ok", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "TCP_SAVED_SYN answers once: PeerDSCP keeps it", how: "it asks each time",
		file: conn, old: "return c.peer, c.peerKnown }", new: "octet, ok := savedSYN(c.pin.raw); return FromTOS(octet), ok }", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "PeerDSCP of a dialled conn answers false", how: "true",
		file: conn, old: "func pinDialed(c *net.TCPConn, m marking) (*Conn, error) {\n\tconn := &Conn{TCPConn: c}", new: "func pinDialed(c *net.TCPConn, m marking) (*Conn, error) {\n\tconn := &Conn{TCPConn: c, peerKnown: true}", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "Of finds the conn under NetConn", how: "only the conn itself",
		file: conn, old: "c = v.NetConn()", new: "return nil, false", test: "TestOf",
	},
	mutation{
		rule: "Of comes back from wrappers that loop", how: "it does not",
		file: conn, old: "for range 32 {", new: "for c != (*Conn)(nil) {", test: "TestOf",
	},
	mutation{
		rule: "Of finds no nil conn", how: "it does",
		file: conn, old: "return v, v != nil", new: "return v, true", test: "TestOf",
	},
	mutation{
		rule: "ReadFrom unwraps a Conn, so that splice survives", how: "it hands it on",
		file: conn, old: "r = v.TCPConn", new: "r = v", test: "TestFastPaths",
	},
	mutation{
		rule: "also inside an io.LimitedReader", how: "not there",
		file: conn, old: "r = bare\n", new: "", test: "TestFastPaths",
	},
	mutation{
		rule: "the LimitedReader of the caller counts down", how: "it does not",
		file: conn, old: "defer func() { v.N = bare.N }()\n", new: "", test: "TestReadFromKeepsCount",
	},
)

const pin = "dscp/pin.go"

var heldRules = part("What a conn is pinned at",
	mutation{
		rule: "DSCP is what the kernel held, not what was asked for", how: "what was asked for",
		file: dialerGo, old: "case *net.TCPConn:\n\t\treturn noNil(pinDialed(c, m))",
		new:  "case *net.TCPConn:\n\t\tconn, err := pinDialed(c, m)\n\t\tif err == nil {\n\t\t\tconn.pin.cp = m.cp\n\t\t}\n\t\treturn noNil(conn, err)",
		test: "TestZeroDialerPinsWhatItHas",
	},
	mutation{
		rule: "a zero Dialer still pins", how: "it returns net's conn",
		file: dialerGo, old: "switch c := c.(type) {\n\tcase *net.TCPConn:", new: "if d.DSCP == DF {\n\t\treturn c, nil\n\t}\n\tswitch c := c.(type) {\n\tcase *net.TCPConn:", test: "TestZeroDialerPinsWhatItHas",
	},
	mutation{
		rule: "IPv4 packets are pinned by IP_TOS", how: "TCP is taken for IPv6",
		file: pin, old: "if isIPv4(p.far()) {", new: "if u, ok := p.far().(*net.UDPAddr); ok && isIPv4(u) {", test: "TestListenerConns",
	},
	mutation{
		rule: "SetDSCP of the same mark is nil", how: "it is refused",
		file: pin, old: "if cp != p.cp {", new: "if true {", test: "TestSetDSCP",
	},
	mutation{
		rule: "SetDSCP of another is ErrMidFlow", how: "it is nil",
		file: pin, old: "if cp != p.cp {", new: "if false {", test: "TestSetDSCP",
	},
	mutation{
		rule: "without a system call", how: "it asks the kernel",
		file: pin, old: "if cp != p.cp {", new: "if err := p.alive(); err != nil {\n\t\treturn err\n\t}\n\tif cp != p.cp {", test: "TestSetDSCPMakesNoSystemCall",
	},
	mutation{
		rule: "SetDSCP above 63 is ErrRange", how: "it is ErrMidFlow",
		file: pin, old: "if err := cp.check(); err != nil {", new: "if err := cp.check(); err != nil && false {", test: "TestSetDSCP",
	},
	mutation{
		rule: "errors.Is finds ErrMidFlow under every refused change", how: "it does not",
		file: pin, old: "func (e *midFlowError) Unwrap() error { return ErrMidFlow }", new: "func (e *midFlowError) Unwrap() error { return nil }", test: "TestSetDSCP",
	},
	mutation{
		rule: "Verify is ErrMidFlow if someone changed the mark behind us", how: "nil",
		file: pin, old: "cp != pinned {", new: "cp != pinned && false {", test: "TestVerify",
	},
	mutation{
		rule: "Verify is net.ErrClosed after Close", how: "nil",
		file: pin, old: "cp, err := p.held(opt)\n\tif err != nil {\n\t\treturn p.opError(\"verify\", err)", new: "cp, err := p.held(opt)\n\tif err != nil {\n\t\treturn nil", test: "TestVerify",
	},
	mutation{
		rule: "Verify looks at both options of a dual-stack socket", how: "at one",
		file: pin, old: "err != nil || !p.dual {\n\t\treturn err\n\t}\n\treturn p.verifyOption(ipTOS)", new: "err != nil || !p.dual {\n\t\treturn err\n\t}\n\treturn nil", test: "TestUDPVerifySeesBothFamilies",
	},
	mutation{
		rule: "a dual-stack UDP socket is pinned for both families", how: "for IPv6 alone",
		file: pin, old: "p.dual = p.option == trafficClass && p.remote == nil && host.tosOnIPv6", new: "p.dual = false && p.remote == nil", test: "TestUDPDualStackHoldsBothMarks",
	},
	mutation{
		rule: "where nothing can be asked, a closed conn is told nevertheless", how: "it is not",
		file: pin, old: `if host.blind != "" {`, new: `if host.blind == "?" {`, test: "TestDialerOnBlindHost",
	},
	mutation{
		rule: "errors name the addresses, once", how: "net's error is wrapped as it is",
		file: pin, old: "if inner, ok := err.(*net.OpError); ok {", new: "if inner, ok := err.(*net.OpError); ok && false {", test: "TestVerify",
	},
	mutation{
		rule: "a conn without access, as on plan9, is pinned at DF", how: "it fails",
		file: pin, old: "return DF, p.alive()", new: "_, err := opt.get(p.raw)\n\t\treturn DF, err", test: "TestPinWithoutAccess",
	},
)
