package main

const (
	codePoint     = "dscp/codepoint.go"
	codePointText = "dscp/codepoint_text.go"
)

var codePointRules = part("Code points",
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
		rule: "the error for an octet suggests a code point", how: "it suggests none",
		file: codePointText, old: "if n > 0xff {", new: "if n > 0 {", test: "TestParseRefuses",
	},
	mutation{
		rule: "a number out of range matches ErrRange", how: "it matches ErrSyntax",
		file: codePointText, old: "return 0, rangeError(s, n)", new: "return 0, syntaxError(s)", test: "TestParseRefuses",
	},
	mutation{
		rule: "Parse takes a name in any case", how: "only in upper case",
		file: codePointText, old: "func Parse(s string) (CodePoint, error) {\n\tif cp, ok := byName[upper(s)]", new: "func Parse(s string) (CodePoint, error) {\n\tif cp, ok := byName[s]", test: "TestParseNames",
	},
	mutation{
		rule: "Parse folds ASCII only", how: "as Unicode does, with the long s",
		file: codePointText, old: "func Parse(s string) (CodePoint, error) {\n\tif cp, ok := byName[upper(s)]", new: "func Parse(s string) (CodePoint, error) {\n\tif cp, ok := byName[strings.ToUpper(s)]", test: "TestParseRefuses",
	},
	mutation{
		rule: "a leading zero is no code point", how: "018 is 18",
		file: codePointText, old: "if len(s) > 1 && s[0] == '0' {", new: "if len(s) > 9 && s[0] == '0' {", test: "TestParseRefuses",
	},
	mutation{
		rule: "0x means hexadecimal", how: "its digits are read as decimal",
		file: codePointText, old: "return number(s[2:], 16)", new: "return number(s[2:], 10)", test: "TestEveryCodePointSurvivesText",
	},
	mutation{
		rule: "String of 1 is LE", how: "it is the number",
		file: codePointText, old: `LE: "LE", NQB`, new: `NQB`, test: "TestRegistry",
	},
	mutation{
		rule: "String shows that a value above 63 is not a code point", how: "it looks like a code point",
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
		file: codePointText, old: "if c.Valid() {\n\t\treturn nil\n\t}\n\treturn rangeError", new: "if true {\n\t\treturn nil\n\t}\n\treturn rangeError", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "ParseTOS reads numbers as octets", how: "as DSCPs",
		file: codePointText, old: "return FromTOS(uint8(n)), nil", new: "return CodePoint(n), nil", test: "TestParseTOS",
	},
	mutation{
		rule: "ParseTOS refuses ECN bits", how: "it drops them",
		file: codePointText, old: "case n&ecnMask != 0:", new: "case n > 0xff:", test: "TestParseTOS",
	},
)
