package main

const pin = "dscp/pin.go"

var pinRules = part("What a conn is pinned at",
	mutation{
		rule: "DSCP is what the kernel held, not what was asked for", how: "what was asked for",
		file: dialerGo, old: "case *net.TCPConn:\n\t\treturn noNil(pinDialed(c, m))",
		new:  "case *net.TCPConn:\n\t\tconn, err := pinDialed(c, m)\n\t\tif err == nil {\n\t\t\tconn.pin.cp = m.cp\n\t\t}\n\t\treturn noNil(conn, err)",
		test: "TestZeroDialerPinsMarkOfHook",
	},
	mutation{
		rule: "a zero Dialer still pins", how: "it returns net's conn",
		file: dialerGo, old: "switch c := c.(type) {\n\tcase *net.TCPConn:", new: "if d.DSCP == DF {\n\t\treturn c, nil\n\t}\n\tswitch c := c.(type) {\n\tcase *net.TCPConn:", test: "TestZeroDialerPinsMarkOfHook",
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
		rule: "SetDSCP makes no system call", how: "it asks the kernel",
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
		rule: "Verify is ErrMidFlow if the mark was changed past the guard", how: "nil",
		file: pin, old: "cp != pinned {", new: "cp != pinned && false {", test: "TestVerify",
	},
	mutation{
		rule: "Verify is net.ErrClosed after Close", how: "nil",
		file: pin, old: "cp, err := p.held(opt)\n\tif err != nil {\n\t\treturn p.opError(\"verify\", err)", new: "cp, err := p.held(opt)\n\tif err != nil {\n\t\treturn nil", test: "TestVerify",
	},
	mutation{
		rule: "Verify looks at both options of a dual-stack socket", how: "at one",
		file: pin, old: "return p.verifyOption(tos.IPv4TOS)", new: "return nil", test: "TestUDPVerifySeesBothFamilies",
	},
	mutation{
		rule: "a dual-stack UDP socket is pinned for both families", how: "for IPv6 alone",
		file: pin, old: "p.dual = p.option == tos.IPv6TClass && p.remote == nil", new: "p.dual = false && p.remote == nil", test: "TestUDPDualStackHoldsBothMarks",
	},
	mutation{
		rule: "on a dual-stack socket each family has its mark", how: "the other's",
		file: pin, old: "if p.dual && opt == tos.IPv4TOS {", new: "if false {", test: "TestUDPDualStackHoldsBothMarks",
	},
	mutation{
		rule: "Verify reports a closed conn where no option can be read, too", how: "it is not",
		file: pin, old: "return DF, p.alive()", new: "return DF, nil", test: "TestDialOnAnUnmarkableSystem",
	},
	mutation{
		rule: "errors name the addresses, once", how: "net's error is wrapped as it is",
		file: errorsGo, old: "if op, ok := err.(*net.OpError); ok {\n\t\treturn op.Err", new: "if op, ok := err.(*net.OpError); ok && false {\n\t\treturn op.Err", test: "TestVerify",
	},
	mutation{
		rule: "a conn without access, as on plan9, is pinned at DF", how: "it fails",
		file: pin, old: "return DF, p.alive()", new: "_, err := opt.Get(p.raw)\n\t\treturn DF, err", test: "TestPinWithoutAccess",
	},
	mutation{
		rule: "an option that cannot be read is not a missing option", how: "it is",
		file: pin, old: "return isUnsupported(err) && hasNoOption(p.raw, opt)", new: "return isUnsupported(err)", test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "an error of the other family's option is ignored", how: "it is not",
		file: pin, old: `if !p.marks(opt) || tos.Host.Unmarkable != "" {`, new: `if tos.Host.Unmarkable != "" {`, test: "TestFaultAtEveryCall",
	},
	mutation{
		rule: "macOS cannot mark an accepted IPv4-mapped conn, and the conn is kept", how: "it is",
		file: pin, old: "if opt == tos.IPv4TOS && !tos.Host.MappedTOS {", new: "if opt == tos.IPv4TOS && !tos.Host.MappedTOS && false {", test: "TestPinMappedOnDarwin",
	},
	mutation{
		rule: "DSCP 0 in a control message becomes the pinned mark", how: "it stays 0",
		file: pin, old: "sent, ok = p.pinned(opt), true", new: "sent, ok = DF, true", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "unless Datagrams has DF", how: "also then",
		file: pin, old: "if !ok && cp == DF {", new: "if cp == DF {", test: "TestDatagramsWithDF",
	},
	mutation{
		rule: "its ECN bits are kept", how: "they are cleared",
		file: pin, old: "return sent.TOS() | octet&ecnMask, nil", new: "return sent.TOS(), nil", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "any other mark is ErrMidFlow and nothing is sent", how: "it is replaced",
		file: pin, old: "if !ok && cp == DF {", new: "if !ok {", test: "TestUDPControlMessages",
	},
)
