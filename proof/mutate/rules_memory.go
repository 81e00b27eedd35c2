package main

const memory = "dscp/memory.go"

var memoryRules = part("Memory",
	mutation{
		rule: "the next dial starts with the mark that came up", how: "with the first",
		file: fallback, old: `return startingWith(works, f.marks), "remembered"`, new: `return f.marks, "remembered"`, test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "a mark that Fallback does not have any more is not tried", how: "it is",
		file: fallback, old: "ok && slices.Contains(f.marks, works) {", new: "ok {", test: "TestMemoryAddsNoMark",
	},
	mutation{
		rule: "what is remembered is not prolonged", how: "each use renews it",
		file: fallback, old: "f.Memory != nil && cp != order[0] {", new: "f.Memory != nil {", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "entries are kept for each first mark separately", how: "all marks share them",
		file: fallback, old: "destination{f.network, f.address, f.marks[0]}", new: "destination{f.network, f.address, DF}", test: "TestFallbackOnTheWire",
	},
	mutation{
		rule: "it is forgotten after TTL", how: "recall does not look at the time",
		file: memory, old: "if !time.Now().Before(known.expires) {", new: "if false {", test: "TestMemoryForgets",
	},
	mutation{
		rule: "zero TTL means ten minutes", how: "an hour",
		file: memory, old: "10 * time.Minute", new: "time.Hour", test: "TestMemoryForgets",
	},
	mutation{
		rule: "no more than Limit are kept", how: "one more is",
		file: memory, old: "for m.order.Len() > m.limit() {", new: "for m.order.Len() > m.limit()+1 {", test: "TestMemoryLimit",
	},
	mutation{
		rule: "the oldest entry is removed", how: "the new one does",
		file: memory, old: "m.forget(m.order.Front())", new: "m.forget(m.order.Back())", test: "TestMemoryLimit",
	},
	mutation{
		rule: "an entry that is learnt again counts as new", how: "it is kept twice",
		file: memory, old: "if e, ok := m.known[d]; ok {\n\t\tm.forget(e)\n\t}\n", new: "", test: "TestMemoryLearnsAgain",
	},
	mutation{
		rule: "if the first mark works, the entry is removed", how: "it is kept as an entry",
		file: memory, old: "if works == d.first {", new: "if works > maxCodePoint {", test: "TestMemoryForgetsIfTheFirstMarkConnects",
	},
	mutation{
		rule: "Clear forgets everything", how: "nothing",
		file: memory, old: "clear(m.known)\n\tm.order.Init()\n", new: "", test: "TestMemoryIsPerDestination",
	},
)
