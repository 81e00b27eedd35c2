package main

const mark = "dscp/mark.go"

var markRules = part("How a socket is marked",
	mutation{
		rule: "before connect, so that the SYN carries the mark", how: "after the connection is up",
		file: dialerGo, old: "nd := dialer.With(d.NetDialer, m.dialHook())\n\tm.keepMPTCPOut(nd)\n\tc, err := nd.DialContext(ctx, network, address)\n",
		new:  "c, err := dialer.With(d.NetDialer).DialContext(ctx, network, address)\n\tif tc, ok := c.(*net.TCPConn); ok {\n\t\tif raw, rerr := tc.SyscallConn(); rerr == nil {\n\t\t\terr = m.apply(\"tcp4\", address, raw)\n\t\t}\n\t}\n",
		test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "the hook runs on every socket", how: "there is none",
		file: mark, old: "return dialHooks()[m]", new: "return nil", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "every option that the socket needs", how: "the first alone",
		file: mark, old: "for _, opt := range opts {", new: "for _, opt := range opts[:1] {", test: "TestListenerConns",
	},
	mutation{
		rule: "V6ONLY is read from the socket", how: "it is assumed to be set",
		file: mark, old: "func() (bool, error) { return tos.V6Only(c) }", new: "func() (bool, error) { return true, nil }", test: "TestListenerConns",
	},
	mutation{
		rule: "on a Multipath TCP socket the hook returns EOPNOTSUPP, and net goes back to plain TCP", how: "it goes on",
		file: mark, old: "if isTCP(network) && tos.IsMPTCP(c) {", new: "if false && tos.IsMPTCP(c) {", test: "TestControlAvoidsMPTCP",
	},
	mutation{
		rule: "that holds under AllowUnmarked, too", how: "it does",
		file: mark, old: "if isTCP(network) && tos.IsMPTCP(c) {", new: "if isTCP(network) && tos.IsMPTCP(c) && !m.allowUnmarked {", test: "TestControlAvoidsMPTCP",
	},
	mutation{
		rule: "it holds for IPv4 and IPv6", how: "for IPv6 alone",
		file: mark, old: "if isTCP(network) && tos.IsMPTCP(c) {", new: `if network == "tcp6" && tos.IsMPTCP(c) {`, test: "TestControlAvoidsMPTCP",
	},
	mutation{
		rule: "marking keeps the ECN bits of a UDP socket", how: "they are cleared",
		file: mark, old: "octet |= held & ecnMask", new: "_ = held", test: "TestUDPKeepsECN",
	},
	mutation{
		rule: "the mark is read back after it is set", how: "it is not read",
		file: mark, old: "if FromTOS(held) != cp {", new: "if false {", test: "TestMarkFails",
	},
	mutation{
		rule: "pinning reads back the mark of a dialled conn", how: "it is not read",
		file: pin, old: "if cp == DF || cp == p.cp {", new: "if true {", test: "TestMarkNotHeld",
	},
	mutation{
		rule: "unix networks pass a dial untouched", how: "they are marked",
		file: mark, old: "if !isTCP(network) {\n\t\t\t\t\treturn m.apply(network, address, c)", new: "if false {\n\t\t\t\t\treturn m.apply(network, address, c)", test: "TestUnixPassesThrough",
	},
	mutation{
		rule: "a dial's hook sets the dial's mark", how: "the next code point",
		file: mark, old: "return dialHooks()[m]", new: "return dialHooks()[marking{(m.cp + 1) & maxCodePoint, m.allowUnmarked}]", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "a system that cannot mark fails before any socket is made", how: "in the hook",
		file: mark, old: "return checkHost(network, m.cp)\n}", new: "return nil\n}", test: "TestDialOnAnUnmarkableSystem",
	},
	mutation{
		rule: "AllowUnmarked dials without a mark there", how: "it fails",
		file: mark, old: "if m.allowUnmarked {\n\t\treturn nil\n\t}\n\treturn checkHost", new: "return checkHost", test: "TestDialOnAnUnmarkableSystem",
	},
	mutation{
		rule: "without a hook, with which net would fail there", how: "with one",
		file: mark, old: "return m.cp == DF || m.allowUnmarked", new: "return m.cp == DF || false && m.allowUnmarked", test: "TestDialOnAnUnmarkableSystem",
	},
	mutation{
		rule: "AllowUnmarked ignores that a socket refuses the mark", how: "it fails",
		file: mark, old: "return m.tolerate(mark(network, address, m.cp, c, true))", new: "return mark(network, address, m.cp, c, true)", test: "TestAllowUnmarked",
	},
	mutation{
		rule: "without AllowUnmarked the dial fails", how: "it goes on",
		file: mark, old: "if m.allowUnmarked {\n\t\treturn nil\n\t}\n\treturn err", new: "return nil", test: "TestAllowUnmarked",
	},
	mutation{
		rule: "AllowUnmarked does not allow a code point above 63", how: "it does",
		file: mark, old: "if err := m.cp.check(); err != nil {", new: "if err := m.cp.check(); err != nil && !m.allowUnmarked {", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "zero DSCP installs no marking hook", how: "it installs one",
		file: mark, old: "return m.cp == DF || m.allowUnmarked", new: "return m.allowUnmarked", test: "TestZeroDialerPinsMarkOfHook",
	},
	mutation{
		rule: "Control(DF) does nothing", how: "it marks with 0",
		file: mark, old: "if cp == DF {", new: "if cp > maxCodePoint {", test: "TestControlOfDFDoesNothing",
	},
	mutation{
		rule: "unix networks pass a listener untouched", how: "they are marked",
		file: mark, old: "if !markable(network) {\n\t\treturn nil", new: "if !markable(network) && false {\n\t\treturn nil", test: "TestUnixPassesThrough",
	},
	mutation{
		rule: "an error of setsockopt reaches the caller", how: "it is lost",
		file: mark, old: "return optionError(opt, network, cp, err)", new: "continue", test: "TestMarkFails",
	},
	mutation{
		rule: "it names the option and the code point", how: "as a bare error",
		file: mark, old: "return optionError(opt, network, cp, err)", new: "return err", test: "TestMarkFails",
	},
	mutation{
		rule: "an option that the socket lacks is unsupported", how: "it is a MarkError",
		file: mark, old: " || tos.IsUnsupported(err)", new: "", test: "TestMarkFails",
	},
	mutation{
		rule: "a mark that is not held is unsupported", how: "it is a MarkError",
		file: mark, old: "errors.Is(err, errNotHeld) || ", new: "", test: "TestMarkFails",
	},
	mutation{
		rule: "a socket that keeps another mark is a MarkError", how: "it is unsupported",
		file: mark, old: "if cp := FromTOS(octet); cp != DF {", new: "if cp := FromTOS(octet); cp > maxCodePoint {", test: "TestFrozenMark",
	},
	mutation{
		rule: "NATSafe marks with DSCP.NATSafe()", how: "with DSCP",
		file: mark, old: "cp = cp.NATSafe()", new: "cp = cp + 0", test: "TestNATSafeDials",
	},
	mutation{
		rule: "zero DSCP is supported everywhere", how: "it is refused",
		file: mark, old: `tos.Host.Unmarkable == "" || cp == DF ||`, new: `tos.Host.Unmarkable == "" ||`, test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "unix networks have no marks and pass", how: "they are refused",
		file: mark, old: "cp == DF || !markable(network) {", new: "cp == DF {", test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "UDP and ip networks are marked", how: "ip networks are not",
		file: mark, old: ` || strings.HasPrefix(network, "ip")`, new: "", test: "TestUnmarkableSystemsAreUnsupported",
	},
)
