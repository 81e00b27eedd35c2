package main

const listen = "dscp/listen.go"

var listenRules = part("ListenConfig and Listener",
	mutation{
		rule: "every listener is plain TCP", how: "an unmarked one is Multipath TCP",
		file: listen, old: "nlc.SetMultipathTCP(false)\n", new: "", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "TCP_SAVE_SYN is set where hooks run", how: "it is not",
		file: listen, old: "case \"tcp4\", \"tcp6\":\n\t\t_ = tos.SaveSYN(c)", new: "case \"tcp4\", \"tcp6\":", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "at zero DSCP too", how: "only beside a mark",
		file: listen, old: "dialer.WithListen(lc.NetListenConfig, lc.marking().hook(), saveSYNHook)",
		new:  "dialer.WithListen(lc.NetListenConfig, lc.marking().hook())\n\tif lc.DSCP != DF {\n\t\tnlc = dialer.WithListen(nlc, saveSYNHook)\n\t}",
		test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "listeners are marked before they listen", how: "they are not",
		file: listen, old: "lc.marking().hook(), saveSYNHook)", new: "saveSYNHook)", test: "TestListenerConns",
	},
	mutation{
		rule: "NetListenConfig is never modified", how: "Multipath TCP is switched off there",
		file: listen, old: "nlc.SetMultipathTCP(false)\n", new: "nlc.SetMultipathTCP(false)\n\tif lc.NetListenConfig != nil {\n\t\tlc.NetListenConfig.SetMultipathTCP(false)\n\t}\n", test: "TestListenerConns",
	},
	mutation{
		rule: "the caller's Control function runs", how: "NetListenConfig is not used",
		file: listen, old: "dialer.WithListen(lc.NetListenConfig,", new: "dialer.WithListen(nil,", test: "TestListenCallersHook",
	},
	mutation{
		rule: "bad input fails before there is a socket", how: "in the hook",
		file: listen, old: "if err := lc.check(\"listen\", network, address); err != nil {\n\t\treturn nil, err\n\t}\n\tif classes",
		new: "if classes", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "a nil ListenConfig is an error", how: "a panic",
		file: listen, old: "if lc != nil {\n\t\terr =", new: "if true {\n\t\terr =", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "Listen returns a *Listener for TCP", how: "net's own",
		file: listen, old: "if tl, ok := l.(*net.TCPListener); ok {", new: "if tl, ok := l.(*net.TCPListener); ok && false {", test: "TestListenerConns",
	},
	mutation{
		rule: "ListenPacket returns a *UDPConn for UDP", how: "net's own",
		file: listen, old: "if !ok {\n\t\treturn c, nil", new: "if !ok || true {\n\t\treturn c, nil", test: "TestUDPListenPacket",
	},
	mutation{
		rule: "an accepted conn whose peer has left does not end Accept", how: "it does",
		file: listen, old: "if resetByPeer(err) {", new: "if resetByPeer(err) && false {", test: "TestAcceptSkipsConnsThatWereReset",
	},
	mutation{
		rule: "Accept of a closed listener is an error, without a typed nil", how: "with one",
		file: listen, old: "return noNil(l.AcceptConn())", new: "return l.AcceptConn()", test: "TestAcceptAfterClose",
	},
	mutation{
		rule: "Wrap marks", how: "it does not",
		file: listen, old: "err := hook(context.Background(), network, address, raw)", new: "err := error(nil)", test: "TestWrap",
	},
	mutation{
		rule: "Wrap fails where the socket cannot be marked", how: "it goes on",
		file: listen, old: "if err != nil && !lc.AllowUnmarked {", new: "if err != nil && lc.AllowUnmarked {", test: "TestWrapMPTCP",
	},
	mutation{
		rule: "Wrap goes on under AllowUnmarked", how: "it fails",
		file: listen, old: "if err != nil && !lc.AllowUnmarked {", new: "if err != nil {", test: "TestWrapMPTCP",
	},
	mutation{
		rule: "Wrap saves SYNs", how: "it does not",
		file: listen, old: "_ = tos.SaveSYN(raw)\n", new: "", test: "TestWrap",
	},
	mutation{
		rule: "Wrap knows the family of the socket", how: "it takes all for IPv6",
		file: listen, old: "network = \"tcp4\"\n", new: "network = \"tcp6\"\n", test: "TestWrap",
	},
	mutation{
		rule: "if Wrap fails the listener is left open", how: "it is closed",
		file: listen, old: "return nil, opError(\"wrap\", network, address, err)\n\t}\n\treturn &Listener", new: "l.Close()\n\t\treturn nil, opError(\"wrap\", network, address, err)\n\t}\n\treturn &Listener", test: "TestWrapMPTCP",
	},
	mutation{
		rule: "Wrap(nil) is an error", how: "a panic",
		file: listen, old: "if l == nil {", new: "if false {", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "Marked of a nil ListenConfig fails every listen", how: "a panic",
		file: listen, old: "if lc == nil {\n\t\treturn dialer", new: "if false {\n\t\treturn dialer", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "WrapPacket knows the family of the socket", how: "it takes all for IPv6",
		file: listen, old: "network = \"udp4\"\n", new: "network = \"udp6\"\n", test: "TestWrapPacket",
	},
	mutation{
		rule: "WrapPacket(nil) is an error", how: "a panic",
		file: listen, old: "if c == nil {", new: "if false {", test: "TestInvalidInputIsAnErrorEverywhere",
	},
)
