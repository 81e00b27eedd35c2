package main

const natSafe = "dscp/natsafe.go"

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
		file: natSafe, old: "case !c.Valid():\n\t\treturn c", new: "case !c.Valid():\n\t\treturn LowDelay", test: "TestAboveRange",
	},
)
