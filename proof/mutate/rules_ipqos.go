package main

const ipqos = "dscp/ipqos.go"

var ipqosRules = part("IPQoS",
	mutation{
		rule: "numbers are octets", how: "they are DSCPs",
		file: ipqos, old: "return FromTOS(uint8(n)), nil", new: "return CodePoint(n), nil", test: "TestParseIPQoS",
	},
	mutation{
		rule: "the words have OpenSSH's octets", how: "af21 has its DSCP",
		file: ipqos, old: `"af21": 0x48`, new: `"af21": 18`, test: "TestParseIPQoS",
	},
	mutation{
		rule: "lowdelay keeps the octet from before 10.1", how: "it is ignored, as since then",
		file: ipqos, old: `"lowdelay": 0x10`, new: `"lowdelay": 0`, test: "TestParseIPQoS",
	},
	mutation{
		rule: "none becomes DF", how: "it is not accepted",
		file: ipqos, old: `"none": 0, //`, new: `//`, test: "TestParseIPQoS",
	},
	mutation{
		rule: "one word is for both", how: "it is for interactive sessions alone",
		file: ipqos, old: "cps[1] = cps[0]", new: "cps[1] = DF", test: "TestParseIPQoS",
	},
	mutation{
		rule: "the first word is for interactive sessions", how: "it is for bulk",
		file: ipqos, old: "Interactive: cps[0], Bulk: cps[1]}", new: "Interactive: cps[1], Bulk: cps[0]}", test: "TestParseIPQoS",
	},
	mutation{
		rule: "words in any case", how: "only in lower case",
		file: ipqos, old: "ipqosKeywords[strings.ToLower(word)]", new: "ipqosKeywords[word]", test: "TestParseIPQoS",
	},
	mutation{
		rule: "an octet above 255 matches ErrRange", how: "it is cut to eight bits",
		file: ipqos, old: "case err != nil || n > 0xff:", new: "case err != nil:", test: "TestParseIPQoSErrors",
	},
	mutation{
		rule: "a leading zero is an error", how: "it is decimal, as to OpenSSH 9.8",
		file: ipqos, old: "case base == 10 && len(digits) > 1 && digits[0] == '0':", new: "case base == 8:", test: "TestParseIPQoSErrors",
	},
	mutation{
		rule: "an octet with ECN bits is an error", how: "they are dropped",
		file: ipqos, old: "case n&ecnMask != 0:", new: "case n > 0xff:", test: "TestParseIPQoSErrors",
	},
	mutation{
		rule: "String has words that every OpenSSH reads", how: "LE is a word, which is new in 8.2",
		file: ipqos, old: "case cp == LE, cp == VoiceAdmit", new: "case cp == VoiceAdmit", test: "TestIPQoSString",
	},
	mutation{
		rule: "String has words that no OpenSSH ignores", how: "LowDelay is a word, ignored since 10.1",
		file: ipqos, old: "cp == NQB, cp == LowDelay,", new: "cp == NQB,", test: "TestIPQoSString",
	},
	mutation{
		rule: "MarshalText fails above 63", how: "it looks at the first alone",
		file: ipqos, old: "errors.Join(q.Interactive.check(), q.Bulk.check())", new: "errors.Join(q.Interactive.check())", test: "TestIPQoSText",
	},
	mutation{
		rule: "UnmarshalText keeps the value on an error", how: "it clears it",
		file: ipqos, old: "if err != nil {\n\t\treturn err\n\t}\n\t*q = parsed\n\treturn nil", new: "*q = parsed\n\treturn err", test: "TestIPQoSText",
	},
	mutation{
		rule: "OpenSSH78 is AF21 and CS1", how: "bulk is unmarked",
		file: ipqos, old: "Bulk: CS1}", new: "Bulk: DF}", test: "TestIPQoSString",
	},
)
