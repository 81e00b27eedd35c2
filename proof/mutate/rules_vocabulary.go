package main

const (
	codePoint     = "dscp/codepoint.go"
	codePointText = "dscp/codepoint_text.go"
	natSafe       = "dscp/natsafe.go"
	ipqos         = "dscp/ipqos.go"
)

var vocabularyRules = part("Code points",
	mutation{
		rule: "a CodePoint is the upper six bits of the octet", how: "FromTOS takes the octet for the code point",
		file: codePoint, old: "CodePoint(octet >> 2)", new: "CodePoint(octet)", test: "TestRegistry",
	},
	mutation{
		rule: "the ECN bits never belong to a CodePoint", how: "TOS sets one of them",
		file: codePoint, old: "uint8(c) << 2", new: "uint8(c)<<2 | 1", test: "TestRegistry",
	},
	mutation{
		rule: "the values are IANA's", how: "NQB has a neighbour's",
		file: codePoint, old: "NQB        CodePoint = 45", new: "NQB        CodePoint = 47", test: "TestRegistry",
	},
	mutation{
		rule: "the legacy values are RFC 1349's", how: "LowDelay is its neighbour",
		file: codePoint, old: "LowDelay    CodePoint = 4", new: "LowDelay    CodePoint = 3", test: "TestLegacyValues",
	},
	mutation{
		rule: "Precedence is the upper three bits", how: "one of them is lost",
		file: codePoint, old: ">> 3 & 7", new: ">> 3 & 3", test: "TestRegistry",
	},
	mutation{
		rule: "a number is a DSCP, 0 to 63, never an octet", how: "Parse takes numbers up to 255",
		file: codePointText, old: "n > uint64(maxCodePoint)", new: "n > 0xff", test: "TestParseRefuses",
	},
	mutation{
		rule: "the error for an octet asks what was meant", how: "the question is left out",
		file: codePointText, old: "if n > 0xff {", new: "if n > 0 {", test: "TestParseRefuses",
	},
	mutation{
		rule: "a number out of range matches ErrRange", how: "it matches ErrSyntax",
		file: codePointText, old: "return 0, rangeError(s, n)", new: "return 0, syntaxError(s)", test: "TestParseRefuses",
	},
	mutation{
		rule: "Parse takes a name in any case", how: "only in upper case",
		file: codePointText, old: "byName[upper(s)]", new: "byName[s]", test: "TestParseNames",
	},
	mutation{
		rule: "Parse folds ASCII only", how: "as Unicode does, with the long s",
		file: codePointText, old: "byName[upper(s)]", new: "byName[strings.ToUpper(s)]", test: "TestParseRefuses",
	},
	mutation{
		rule: "a leading zero is no code point", how: "018 is 18",
		file: codePointText, old: "} else if len(s) > 1 && s[0] == '0' {", new: "} else if len(s) > 9 && s[0] == '0' {", test: "TestParseRefuses",
	},
	mutation{
		rule: "0x means hexadecimal", how: "its digits are read as decimal",
		file: codePointText, old: "digits, base = s[2:], 16", new: "digits, base = s[2:], 10", test: "TestEveryCodePointSurvivesText",
	},
	mutation{
		rule: "String of 1 is LE", how: "it is the number",
		file: codePointText, old: `LE: "LE", NQB`, new: `NQB`, test: "TestRegistry",
	},
	mutation{
		rule: "String of a value above 63 tells that it is none", how: "it looks like a code point",
		file: codePointText, old: `return "CodePoint(" + strconv.Itoa(int(c)) + ")"`, new: "return strconv.Itoa(int(c))", test: "TestAboveRange",
	},
	mutation{
		rule: "MarshalText fails above 63", how: "it does not look",
		file: codePointText, old: "if err := c.check(); err != nil {", new: "if err := c.check(); false && err != nil {", test: "TestAboveRange",
	},
	mutation{
		rule: "UnmarshalText keeps the value on an error", how: "it clears it",
		file: codePointText, old: "if err != nil {\n\t\treturn err\n\t}\n\t*c = cp\n\treturn nil", new: "*c = cp\n\treturn err", test: "TestParseRefuses",
	},
	mutation{
		rule: "a value above 63 is refused before there is a socket", how: "check lets it pass",
		file: codePointText, old: "if c.valid() {\n\t\treturn nil", new: "if true {\n\t\treturn nil", test: "TestBadInput",
	},
	mutation{
		rule: "UserPriority is RFC 8325's", how: "AF2x is in the background, as the upper three bits say",
		file: "dscp/wifi.go", old: "case AF21, AF22, AF23:\n\t\treturn 3", new: "case AF21, AF22, AF23:\n\t\treturn 2", test: "TestAccessCategory",
	},
	mutation{
		rule: "SocketPriority is the kernel's", how: "EF is before AF12",
		file: "dscp/priority.go", old: "{0, 2, 6, 4}", new: "{0, 2, 4, 6}", test: "TestSocketPriority",
	},
	mutation{
		rule: "low-priority data is LE since RFC 8622", how: "it is CS1",
		file: "dscp/serviceclass.go", old: "[]CodePoint{LE, CS1}", new: "[]CodePoint{CS1, LE}", test: "TestServiceClass",
	},
)

var natSafeRules = part("NAT-safe",
	mutation{
		rule: "bulk classes become Throughput", how: "AF13 does not",
		file: natSafe, old: ", c == AF13:", new: ":", test: "TestNATSafe",
	},
	mutation{
		rule: "bulk classes become Throughput", how: "CS1 does not",
		file: natSafe, old: " c == CS1,", new: "", test: "TestNATSafe",
	},
	mutation{
		rule: "bulk classes become Throughput", how: "LE stays, since its precedence is zero",
		file: natSafe, old: "case c == LE, c == CS1", new: "case c == CS1", test: "TestNATSafe",
	},
	mutation{
		rule: "DF and the code points 2 to 7 stay", how: "they become LowDelay",
		file: natSafe, old: "c.Precedence() == 0:\n\t\treturn c", new: "c.Precedence() == 0:\n\t\treturn LowDelay", test: "TestNATSafe",
	},
	mutation{
		rule: "all else becomes LowDelay", how: "it becomes Throughput",
		file: natSafe, old: "return LowDelay", new: "return Throughput", test: "TestNATSafe",
	},
	mutation{
		rule: "all else becomes LowDelay", how: "it keeps its lower three bits",
		file: natSafe, old: "return LowDelay", new: "return c & 7", test: "TestNATSafe",
	},
	mutation{
		rule: "a value above 63 stays, to be refused", how: "it becomes one that is not",
		file: natSafe, old: "case !c.valid():\n\t\treturn c", new: "case !c.valid():\n\t\treturn LowDelay", test: "TestAboveRange",
	},
	mutation{
		rule: "NATSafe maps every rung of Fallback", how: "it maps the first alone",
		file: ladder, old: "newMarking(cp, d.NATSafe, false).cp", new: "newMarking(cp, false, false).cp", test: "TestLadderRungs",
	},
)

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
		rule: "none becomes DF", how: "it is no word",
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
		rule: "String has words that every OpenSSH heeds", how: "LowDelay is a word, ignored since 10.1",
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
