package main

const (
	mark        = "dscp/mark.go"
	sockopt     = "dscp/sockopt.go"
	socketLinux = "dscp/socket_linux.go"
)

var socketRules = part("How a socket is marked",
	mutation{
		rule: "before connect, so that the SYN carries the mark", how: "when the connection has come up",
		file: dialerGo, old: "c, err := d.Marked().DialContext(ctx, network, address)\n",
		new:  "c, err := dialer.With(d.NetDialer).DialContext(ctx, network, address)\n\tif tc, ok := c.(*net.TCPConn); ok {\n\t\tif raw, rerr := tc.SyscallConn(); rerr == nil {\n\t\t\terr = d.marking().apply(\"tcp4\", address, raw)\n\t\t}\n\t}\n",
		test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "the hook runs on every socket", how: "there is none",
		file: dialerGo, old: "nd := dialer.With(d.NetDialer, hook)", new: "nd := dialer.With(d.NetDialer)", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "AF_INET: IP_TOS", how: "IPV6_TCLASS",
		file: sockopt, old: "return ipv4.NewConn(rawSocket{raw: raw}).SetTOS(int(octet))", new: "return ipv6.NewConn(rawSocket{raw: raw}).SetTrafficClass(int(octet))", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "AF_INET6: IPV6_TCLASS", how: "IP_TOS",
		file: sockopt, old: "return ipv6.NewConn(rawSocket{raw: raw}).SetTrafficClass(int(octet))", new: "return ipv4.NewConn(rawSocket{raw: raw}).SetTOS(int(octet))", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "every option that the socket needs", how: "the first alone",
		file: mark, old: "for _, opt := range opts {", new: "for _, opt := range opts[:1] {", test: "TestListenerConns",
	},
	mutation{
		rule: "V6ONLY is asked of the socket", how: "it is taken for set",
		file: mark, old: "func() (bool, error) { return v6only(c) }", new: "func() (bool, error) { return true, nil }", test: "TestListenerConns",
	},
	mutation{
		rule: "on a Multipath TCP socket the hook returns EOPNOTSUPP, and net goes back to plain TCP", how: "it goes on",
		file: mark, old: "if err := refuseMPTCP(network, m.cp, c); err != nil {\n\t\treturn err", new: "if err := refuseMPTCP(network, m.cp, c); err != nil && false {\n\t\treturn err", test: "TestControlKeepsMPTCPAway",
	},
	mutation{
		rule: "AllowUnmarked does not defeat that", how: "it does",
		file: mark, old: "if err := refuseMPTCP(network, m.cp, c); err != nil {\n\t\treturn err", new: "if err := refuseMPTCP(network, m.cp, c); err != nil && !m.allowUnmarked {\n\t\treturn err", test: "TestControlKeepsMPTCPAway",
	},
	mutation{
		rule: "of either family", how: "IPv6's alone",
		file: socketLinux, old: `if !strings.HasPrefix(network, "tcp") {`, new: `if !strings.HasPrefix(network, "tcp6") {`, test: "TestControlKeepsMPTCPAway",
	},
	mutation{
		rule: "a Multipath TCP socket is told by SO_PROTOCOL", how: "none is",
		file: socketLinux, old: "proto != unix.IPPROTO_MPTCP", new: "proto != unix.IPPROTO_TCP+unix.IPPROTO_MPTCP", test: "TestControlKeepsMPTCPAway",
	},
	mutation{
		rule: "TCP_SAVE_SYN is set where hooks run", how: "it is cleared",
		file: socketLinux, old: "unix.TCP_SAVE_SYN, 1)", new: "unix.TCP_SAVE_SYN, 0)", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "the SYN's mark is in the second byte of an IPv4 header", how: "in the first",
		file: socketLinux, old: "return second, true", new: "return header[0], true", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "and in the first two bytes of an IPv6 header", how: "in the second alone",
		file: socketLinux, old: "return header[0]<<4 | second>>4, true", new: "return second, true", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "a SYN with a zero second byte is known", how: "it is not",
		file: socketLinux, old: "if len(header) > 1 {", new: "if len(header) < 2 {\n\t\treturn 0, false\n\t}\n\tif len(header) > 1 {", test: "TestSYNCarriesEveryCodePoint",
	},
	mutation{
		rule: "ECN bits are never ours on UDP", how: "they are cleared",
		file: mark, old: "octet |= held & ecnMask", new: "_ = held", test: "TestUDPKeepsECN",
	},
	mutation{
		rule: "what was set is read back", how: "it is believed",
		file: mark, old: "if FromTOS(held) != cp {", new: "if false {", test: "TestMarkFails",
	},
	mutation{
		rule: "a blind system fails before any socket is made", how: "in the hook",
		file: mark, old: "return host.check(network, m.cp)\n}", new: "return nil\n}", test: "TestDialerOnBlindHost",
	},
	mutation{
		rule: "AllowUnmarked dials on there", how: "it fails",
		file: mark, old: "if m.allowUnmarked {\n\t\treturn nil\n\t}\n\treturn host.check", new: "return host.check", test: "TestDialerOnBlindHost",
	},
	mutation{
		rule: "without a hook, which net would refuse there", how: "with one",
		file: mark, old: "if m.cp == DF || m.allowUnmarked", new: "if m.cp == DF || !m.allowUnmarked", test: "TestDialerOnBlindHost",
	},
	mutation{
		rule: "AllowUnmarked goes on where the socket refuses", how: "it fails",
		file: mark, old: "err := mark(network, address, m.cp, c)\n\tif m.allowUnmarked {", new: "err := mark(network, address, m.cp, c)\n\tif false {", test: "TestAllowUnmarked",
	},
	mutation{
		rule: "without AllowUnmarked the dial fails", how: "it goes on",
		file: mark, old: "err := mark(network, address, m.cp, c)\n\tif m.allowUnmarked {", new: "err := mark(network, address, m.cp, c)\n\tif true {", test: "TestAllowUnmarked",
	},
	mutation{
		rule: "AllowUnmarked allows no code point above 63", how: "it does",
		file: mark, old: "if err := m.cp.check(); err != nil {", new: "if err := m.cp.check(); err != nil && !m.allowUnmarked {", test: "TestBadInput",
	},
	mutation{
		rule: "zero DSCP installs no marking hook", how: "it installs one",
		file: mark, old: "if m.cp == DF || m.allowUnmarked", new: "if m.allowUnmarked", test: "TestZeroDialerPinsWhatItHas",
	},
	mutation{
		rule: "Control(DF) does nothing", how: "it marks with 0",
		file: mark, old: "if cp == DF {", new: "if cp > maxCodePoint {", test: "TestControlOfDFDoesNothing",
	},
	mutation{
		rule: "unix networks pass untouched", how: "they are marked",
		file: mark, old: "if !markable(network) {\n\t\treturn nil", new: "if !markable(network) && false {\n\t\treturn nil", test: "TestUnixPassesThrough",
	},
	mutation{
		rule: "an error of setsockopt reaches the caller", how: "it is lost",
		file: mark, old: "return &MarkError{CodePoint: cp, Option: opt.String(), Err: err}", new: "continue", test: "TestMarkFails",
	},
	mutation{
		rule: "it names the option and the code point", how: "as a bare error",
		file: mark, old: "return &MarkError{CodePoint: cp, Option: opt.String(), Err: err}", new: "return err", test: "TestMarkFails",
	},
	mutation{
		rule: "ENOPROTOOPT is mapped to errors.ErrUnsupported", how: "it is not",
		file: mark, old: " || noSuchOption(err)", new: "", test: "TestMarkFails",
	},
	mutation{
		rule: "a mark that is not held is unsupported", how: "it is a MarkError",
		file: mark, old: " || errors.Is(err, errNotHeld)", new: "", test: "TestMarkFails",
	},
	mutation{
		rule: "NATSafe marks with DSCP.NATSafe()", how: "with DSCP",
		file: mark, old: "cp = cp.NATSafe()", new: "cp = cp + 0", test: "TestNATSafeDials",
	},
)
