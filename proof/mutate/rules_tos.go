package main

const (
	tosOption   = "internal/tos/option.go"
	optionUnix  = "internal/tos/option_unix.go"
	platform    = "internal/tos/platform.go"
	peers       = "internal/tos/peers.go"
	received    = "internal/tos/received.go"
	header      = "internal/tos/header.go"
	synLinux    = "internal/tos/syn_linux.go"
	cmsg        = "internal/tos/cmsg.go"
	cmsgUnix    = "internal/tos/cmsg_unix.go"
	secretLinux = "internal/tos/secret_linux.go"
)

var optionRules = part("Socket options and headers",
	mutation{
		rule: "AF_INET: IP_TOS", how: "IPV6_TCLASS",
		file: tosOption, old: "err = x.v4.SetTOS(int(octet))", new: "err = x.v6.SetTrafficClass(int(octet))", test: "TestOptionOnTheWire",
	},
	mutation{
		rule: "AF_INET6: IPV6_TCLASS", how: "IP_TOS",
		file: tosOption, old: "err = x.v6.SetTrafficClass(int(octet))", new: "err = x.v4.SetTOS(int(octet))", test: "TestOptionOnTheWire",
	},
	mutation{
		rule: "a reused reader does not return the value of an earlier socket", how: "a reader keeps its first answer",
		file: optionUnix, old: "v := g.v\n", new: "v := g.v\n\tif v != 0 {\n\t\tg.read = func(uintptr) {}\n\t}\n", test: "TestOptionOnTheWire",
	},
	mutation{
		rule: "ENOPROTOOPT says that an option is missing", how: "it does not",
		file: platform, old: " || noSuchOption(err)", new: "", test: "TestMissingErrorIsUnsupported",
	},
	mutation{
		rule: "SO_PROTOCOL identifies a Multipath TCP socket", how: "none is",
		file: synLinux, old: "protocol == unix.IPPROTO_MPTCP", new: "protocol == unix.IPPROTO_TCP+unix.IPPROTO_MPTCP", test: "TestSavedSYNOfAConnection",
	},
	mutation{
		rule: "TCP_SAVE_SYN is set", how: "it is cleared",
		file: synLinux, old: "unix.TCP_SAVE_SYN, 1)", new: "unix.TCP_SAVE_SYN, 0)", test: "TestSavedSYNOfAConnection",
	},
	mutation{
		rule: "the SYN's mark is in the second byte of an IPv4 header", how: "in the first",
		file: header, old: "return header[1], true", new: "return header[0], true", test: "TestHeaderOctet",
	},
	mutation{
		rule: "and in the first two bytes of an IPv6 header", how: "in the second alone",
		file: header, old: "return header[0]<<4 | header[1]>>4, true", new: "return header[1], true", test: "TestHeaderOctet",
	},
	mutation{
		rule: "a SYN with a zero second byte is known", how: "it is not",
		file: synLinux, old: "var start [2]byte\n", new: "if len(header) < 2 {\n\t\treturn 0, false\n\t}\n\tvar start [2]byte\n", test: "TestSavedSYNOfAConnection",
	},
)

var controlRules = part("Control messages",
	mutation{
		rule: "every control message counts", how: "the first alone",
		file: cmsgUnix, old: "at = next", new: "at = next + len(oob)", test: "TestRewriteControl",
	},
	mutation{
		rule: "the caller's buffer is not written to", how: "it is",
		file: cmsgUnix, old: "oob, own = slices.Clone(oob), true", new: "oob, own = slices.Clip(oob), true", test: "TestRewriteControl",
	},
	mutation{
		rule: "IPv4 control messages are checked", how: "they are not checked",
		file: cmsgUnix, old: "case level == unix.IPPROTO_IP &&", new: "case level == -1 &&", test: "TestRewriteControl",
	},
	mutation{
		rule: "IPv6 control messages are checked", how: "they are not checked",
		file: cmsgUnix, old: "case level == unix.IPPROTO_IPV6 &&", new: "case level == -1 &&", test: "TestRewriteControl",
	},
	mutation{
		rule: "a malformed control message is an error", how: "it is passed on as it is",
		file: cmsgUnix, old: "if err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t\tnext", new: "if err != nil {\n\t\t\treturn oob, nil\n\t\t}\n\t\tnext", test: "TestRewriteControl",
	},
	mutation{
		rule: "-1, which Linux sends as 0xff, is another mark", how: "it is left to the kernel",
		file: cmsg, old: "v <= 0xff || v == 0xffffffff", new: "v <= 0xff", test: "TestRewriteControl",
	},
	mutation{
		rule: "the octet is a byte or an int", how: "an int alone",
		file: cmsg, old: "return data[0], true", new: "return 0, false", test: "TestRewriteControl",
	},
	mutation{
		rule: "the message that marks a datagram is of its family", how: "it is IPv4's",
		file: cmsgUnix, old: "h.Type = unix.IPV6_TCLASS", new: "h.Type = unix.IP_TOS", test: "TestAppendControl",
	},
	mutation{
		rule: "a received mark is found among other messages", how: "the first alone is looked at",
		file: cmsgUnix, old: "oob = rest\n", new: "oob = rest[:0]\n", test: "TestReceiveMarksInBatches", in: "dscp",
	},
)

var platformRules = part("What each system can do",
	mutation{
		rule: "an IPv4 socket has IP_TOS", how: "the other option",
		file: platform, old: "return ipv4Only, nil", new: "return ipv6Only, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a dual-stack socket needs both options", how: "IPV6_TCLASS alone",
		file: platform, old: "return dualStack, nil", new: "return ipv6Only, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a native IPv6 dial leaves IP_TOS alone", how: "it sets both",
		file: platform, old: "if peers == IPv6Peers {\n\t\treturn ipv6Only, nil", new: "if peers == IPv6Peers {\n\t\treturn dualStack, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a raw IPv6 socket has no IP_TOS", how: "it is set, too",
		file: platform, old: `if network == "ip6" {`, new: `if network == "ip7" {`, test: "TestPlatformOptions",
	},
	mutation{
		rule: "the hook's tcp6 also means a dual-stack wildcard", how: "a wildcard is native",
		file: peers, old: "case err != nil, a.IsUnspecified():\n\t\treturn AnyPeers", new: "case err != nil, a.IsUnspecified():\n\t\treturn IPv6Peers", test: "TestPlatformOptions",
	},
	mutation{
		rule: "an IPv4-mapped peer gets IPv4 packets", how: "it counts as native IPv6",
		file: peers, old: "case a.Is4(), a.Is4In6():", new: "case a.Is4():", test: "TestPlatformOptions",
	},
	mutation{
		rule: "V6ONLY=1 needs no IP_TOS", how: "V6ONLY is ignored",
		file: platform, old: "if only {", new: "if only && false {", test: "TestPlatformOptions",
	},
	mutation{
		rule: "where V6ONLY cannot be read, marking fails", how: "it goes on",
		file: platform, old: "only, err := v6only()\n\t\tif err != nil {", new: "only, err := v6only()\n\t\tif false {", test: "TestPlatformV6OnlyFails",
	},
	mutation{
		rule: "where IP_TOS cannot be set on AF_INET6, dual stack is unsupported", how: "half of it is marked",
		file: platform, old: "if len(opts) == 2 && !p.MappedTOS {", new: "if len(opts) == 3 && !p.MappedTOS {", test: "TestPlatformOptions",
	},
	mutation{
		rule: "that error says: listen on tcp4 and tcp6", how: "it does not",
		file: platform, old: "IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead", new: "IPv4 peers", test: "TestPlatformOptions",
	},
	mutation{
		rule: "macOS and the BSDs do not take IP_TOS on AF_INET6", how: "they do",
		file: platform, old: "\"dragonfly\":\n", new: "\"dragonfly\":\n\t\tp.MappedTOS = true\n", test: "TestPlatformOptions",
	},
	mutation{
		rule: "Windows, where success proves nothing, is unsupported", how: "it marks",
		file: platform, old: "case \"windows\":\n", new: "case \"windows\":\n\t\treturn p\n", test: "TestUnmarkableSystemsAreUnsupported", in: "dscp",
	},
	mutation{
		rule: "js, wasip1 and plan9, where hooks never run, are unsupported", how: "plan9 marks",
		file: platform, old: `case "js", "wasip1", "plan9":`, new: "case \"plan9\":\n\tcase \"js\", \"wasip1\":", test: "TestUnmarkableSystemsAreUnsupported", in: "dscp",
	},
	mutation{
		rule: "an unknown system is unsupported", how: "it marks",
		file: platform, old: `p.Unmarkable = "not known to mark packets"`, new: `p.Unmarkable = ""`, test: "TestUnmarkableSystemsAreUnsupported", in: "dscp",
	},
	mutation{
		rule: "where no mark is reported, ReceiveMarks says so", how: "it returns nil",
		file: received, old: "case p.Receive[o].Number == 0:", new: "case p.Receive[o].Number < 0:", test: "TestReceiveOptions",
	},
	mutation{
		rule: "the numbers are those of x/sys", how: "FreeBSD has macOS's",
		file: received, old: "return numbers(68, 3, 57, 61)", new: "return numbers(27, 3, 35, 36)", test: "TestReceiveOptionNumbers",
	},
	mutation{
		rule: "where the mark of one datagram is not taken, that is unsupported", how: "it is tried",
		file: cmsg, old: "if p.MessageValue[o] == 0 {", new: "if p.MessageValue[o] < 0 {", test: "TestMessageOptions",
	},
	mutation{
		rule: "OpenBSD, NetBSD and DragonFly take no message for IPv4", how: "they do",
		file: cmsg, old: "return [2]int{IPv6TClass: 4}", new: "return [2]int{IPv4TOS: 4, IPv6TClass: 4}", test: "TestMessageOptions",
	},
)
