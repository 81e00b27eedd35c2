package main

const (
	platform = "dscp/platform.go"
	peers    = "dscp/peers.go"
	reports  = "dscp/reports.go"
)

var platformRules = part("What each system can do",
	mutation{
		rule: "an IPv4 socket has IP_TOS", how: "the other option",
		file: platform, old: "return onlyTOS, nil", new: "return onlyTrafficClass, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a dual-stack socket needs both options", how: "IPV6_TCLASS alone",
		file: platform, old: "return both, nil", new: "return onlyTrafficClass, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a native IPv6 dial leaves IP_TOS alone", how: "it sets both",
		file: platform, old: "return onlyTrafficClass, nil", new: "return both, nil", test: "TestPlatformOptions",
	},
	mutation{
		rule: "the hook's tcp6 also means a dual-stack wildcard", how: "a wildcard is native",
		file: peers, old: "case err != nil, a.IsUnspecified():\n\t\treturn peersAny", new: "case err != nil, a.IsUnspecified():\n\t\treturn peersIPv6", test: "TestPlatformOptions",
	},
	mutation{
		rule: "a v4-mapped peer gets IPv4 packets", how: "it counts as native IPv6",
		file: peers, old: "case a.Is4(), a.Is4In6():", new: "case a.Is4():", test: "TestPlatformOptions",
	},
	mutation{
		rule: "V6ONLY=1 needs no IP_TOS", how: "V6ONLY is not heeded",
		file: platform, old: "if only {", new: "if only && false {", test: "TestPlatformOptions",
	},
	mutation{
		rule: "where V6ONLY cannot be read, marking fails", how: "it goes on",
		file: platform, old: "only, err := v6only()\n\t\tif err != nil {", new: "only, err := v6only()\n\t\tif false {", test: "TestPlatformV6OnlyFails",
	},
	mutation{
		rule: "where IP_TOS cannot be set on AF_INET6, dual stack is an UnsupportedError", how: "half of it is marked",
		file: platform, old: "if len(opts) == 2 && !p.tosOnIPv6 {", new: "if len(opts) == 3 && !p.tosOnIPv6 {", test: "TestPlatformOptions",
	},
	mutation{
		rule: "that error says: listen on tcp4 and tcp6", how: "it does not",
		file: platform, old: "IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead", new: "IPv4 peers", test: "TestPlatformOptions",
	},
	mutation{
		rule: "macOS and the BSDs do not take IP_TOS on AF_INET6", how: "they do",
		file: platform, old: "\"dragonfly\":\n", new: "\"dragonfly\":\n\t\tp.tosOnIPv6 = true\n", test: "TestPlatformOptions",
	},
	mutation{
		rule: "Windows, where success proves nothing, is unsupported", how: "it marks",
		file: platform, old: "case \"windows\":\n", new: "case \"windows\":\n\t\treturn p\n", test: "TestBlindPlatforms",
	},
	mutation{
		rule: "js, wasip1 and plan9, where hooks never run, are unsupported", how: "plan9 marks",
		file: platform, old: `case "js", "wasip1", "plan9":`, new: "case \"plan9\":\n\tcase \"js\", \"wasip1\":", test: "TestBlindPlatforms",
	},
	mutation{
		rule: "an unknown system is unsupported", how: "it marks",
		file: platform, old: `p.blind = "not known to mark packets"`, new: `p.blind = ""`, test: "TestBlindPlatforms",
	},
	mutation{
		rule: "zero DSCP is supported everywhere", how: "it is refused",
		file: platform, old: `if p.blind == "" || cp == DF ||`, new: `if p.blind == "" ||`, test: "TestBlindPlatforms",
	},
	mutation{
		rule: "unix networks know no marks and pass", how: "they are refused",
		file: platform, old: "cp == DF || !markable(network) {", new: "cp == DF {", test: "TestBlindPlatforms",
	},
	mutation{
		rule: "UDP and ip networks are marked", how: "ip networks are not",
		file: platform, old: ` || strings.HasPrefix(network, "ip")`, new: "", test: "TestBlindPlatforms",
	},
	mutation{
		rule: "where no mark is reported, ReceiveMarks says so", how: "it keeps quiet",
		file: reports, old: "case r.ask == 0:", new: "case r.ask < 0:", test: "TestReporting",
	},
	mutation{
		rule: "the numbers are those of x/sys", how: "FreeBSD has macOS's",
		file: reports, old: "return numbers(68, 3, 57, 61)", new: "return numbers(27, 3, 35, 36)", test: "TestReportNumbers",
	},
)
