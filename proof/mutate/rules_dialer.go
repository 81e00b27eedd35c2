package main

const dialerGo = "dscp/dialer.go"

var dialerRules = part("Dialer",
	mutation{
		rule: "NetDialer is never modified", how: "Multipath TCP is switched off there",
		file: dialerGo, old: "m := d.marking()\n\tnd := dialer.With(d.NetDialer, m.dialHook())\n\tm.keepMPTCPOut(nd)\n\tc, err := nd.DialContext", new: "m := d.marking()\n\tif d.NetDialer != nil {\n\t\tm.keepMPTCPOut(d.NetDialer)\n\t}\n\tnd := dialer.With(d.NetDialer, m.dialHook())\n\tm.keepMPTCPOut(nd)\n\tc, err := nd.DialContext", test: "TestCallersDialerUnchanged",
	},
	mutation{
		rule: "all other options of NetDialer apply", how: "Marked does not use it",
		file: dialerGo, old: "nd := dialer.With(d.NetDialer, m.hook())", new: "nd := dialer.With(nil, m.hook())", test: "TestCallersDialerUnchanged",
	},
	mutation{
		rule: "all other options of NetDialer apply", how: "DialContext does not use it",
		file: dialerGo, old: "nd := dialer.With(d.NetDialer, m.dialHook())\n\tm.keepMPTCPOut(nd)\n\tc, err := nd.DialContext", new: "nd := dialer.With(nil, m.dialHook())\n\tm.keepMPTCPOut(nd)\n\tc, err := nd.DialContext", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "Multipath TCP is off for marked conns", how: "as NetDialer has it",
		file: mark, old: "nd.SetMultipathTCP(false)", new: "_ = nd", test: "TestCallersDialerUnchanged",
	},
	mutation{
		rule: "a zero DSCP leaves NetDialer's choice of Multipath TCP", how: "it is off as well",
		file: mark, old: "if !m.nothingToMark() {", new: "if true {", test: "TestCallersDialerUnchanged",
	},
	mutation{
		rule: "Marked is a fresh net.Dialer each time", how: "NetDialer itself where nothing is to be marked",
		file: dialerGo, old: "nd := dialer.With(d.NetDialer, m.hook())", new: "if m.nothingToMark() && d.NetDialer != nil {\n\t\treturn d.NetDialer\n\t}\n\tnd := dialer.With(d.NetDialer, m.hook())", test: "TestCallersDialerUnchanged",
	},
	mutation{
		rule: "bad input fails before there is a socket", how: "in the hook",
		file: dialerGo, old: "err = d.marking().check(network)", new: "err = nil", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "DialTCP checks its input", how: "it does not",
		file: dialerGo, old: "if err := d.check(network, raddr.String()); err != nil {\n\t\treturn nil, err\n\t}\n\tif marks", new: "if marks", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "DialUDP checks its input", how: "it does not",
		file: dialerGo, old: "if err := d.check(network, raddr.String()); err != nil {\n\t\treturn nil, err\n\t}\n\tt :=", new: "t :=", test: "TestFallbackRefusedBeforeASocket",
	},
	mutation{
		rule: "a nil Dialer is an error", how: "a panic",
		file: dialerGo, old: "if d != nil {\n", new: "if d != nil || true {\n", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "Marked of a nil Dialer fails every dial", how: "it dials unmarked",
		file: dialerGo, old: "return dialer.With(nil, failing(errNilDialer))", new: "return dialer.With(nil)", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "DialContext returns a *UDPConn for UDP", how: "net's own",
		file: dialerGo, old: "return noNil(d.pinUDP(c))", new: "return c, nil", test: "TestUDPFirstDatagram",
	},
	mutation{
		rule: "DialTCP pins", how: "without the guard's knowledge of the mark",
		file: dialerGo, old: "return pinDialed(c, m)\n}", new: "return &Conn{TCPConn: c}, nil\n}", test: "TestDialTCPAndUDP",
	},
	mutation{
		rule: "DialTCP marks", how: "it dials with NetDialer",
		file: dialerGo, old: "c, err := nd.DialTCP(", new: "c, err := dialer.With(d.NetDialer).DialTCP(", test: "TestDialTCPAndUDP",
	},
	mutation{
		rule: "DialUDP marks", how: "it dials with NetDialer",
		file: dialerGo, old: "d.Marked().DialUDP(", new: "dialer.With(d.NetDialer).DialUDP(", test: "TestDialTCPAndUDP",
	},
	mutation{
		rule: "DialTCP uses Fallback", how: "it does not",
		file: dialerGo, old: "return d.fallbackTCP(network, laddr, raddr, marks).dial(ctx)", new: "_ = marks", test: "TestFallbackThroughDropMarked",
	},
	mutation{
		rule: "errors of a marked dial name the code point", how: "they do not",
		file: dialerGo, old: "c, err := d.dialOnce(ctx, network, address)\n\terr = withCodePoint(err, d.marking().cp)", new: "c, err := d.dialOnce(ctx, network, address)", test: "TestDialKeepsNetErrors",
	},
	mutation{
		rule: "a failed dial returns nil, not a nil *Conn", how: "a typed nil",
		file: dialerGo, old: "if err != nil {\n\t\treturn nil, err\n\t}\n\treturn c, nil\n}", new: "return c, err\n}", test: "TestAcceptAfterClose",
	},
	mutation{
		rule: "the context reaches net", how: "it does not",
		file: dialerGo, old: "nd.DialContext(ctx, network, address)", new: "nd.DialContext(context.Background(), network, address)", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "Trace is called for every dial", how: "for TCP alone",
		file: dialerGo, old: "c, err := d.dialUDPOnce(ctx, network, laddr, raddr)\n\terr = withCodePoint(err, d.marking().cp)\n\tt.socket", new: "c, err := d.dialUDPOnce(ctx, network, laddr, raddr)\n\terr = withCodePoint(err, d.marking().cp)\n\ttracer(nil).socket", test: "TestTrace",
	},
)
