package main

const hook = "dialer/hook.go"

var hookRules = part("With and WithListen",
	mutation{
		rule: "With returns a copy", how: "the caller's own",
		file: hook, old: "var nd net.Dialer\n\tif d != nil {\n\t\tnd = *d\n\t}\n\thooks = withoutNil(hooks)\n\tif len(hooks) == 0 {\n\t\treturn &nd\n\t}",
		new:  "if d == nil {\n\t\td = new(net.Dialer)\n\t}\n\tnd := *d\n\tdefer func() { *d = nd }()\n\thooks = withoutNil(hooks)\n\tif len(hooks) == 0 {\n\t\treturn &nd\n\t}",
		test: "TestWithLeavesTheCallerAlone",
	},
	mutation{
		rule: "a nil Dialer means the zero one", how: "a panic",
		file: hook, old: "if d != nil {\n\t\tnd = *d\n\t}", new: "nd = *d", test: "TestWithOrder",
	},
	mutation{
		rule: "a nil ListenConfig means the zero one", how: "a panic",
		file: hook, old: "if lc != nil {\n\t\tnlc = *lc\n\t}", new: "nlc = *lc", test: "TestWithListenOrder",
	},
	mutation{
		rule: "the caller's Control runs", how: "it is lost",
		file: hook, old: "own = withoutContext(nd.Control)", new: "own = nil", test: "TestWithOrder",
	},
	mutation{
		rule: "the caller's own hook runs first", how: "last",
		file: hook, old: "others = append([]Hook{first}, others...)", new: "others = append(others, first)", test: "TestWithOrder",
	},
	mutation{
		rule: "ControlContext wins over Control", how: "Control wins",
		file: hook, old: "if own == nil && nd.Control != nil {", new: "if nd.Control != nil {", test: "TestWithOrder",
	},
	mutation{
		rule: "no Control is left that looks as if it ran", how: "it is",
		file: hook, old: "nd.Control = nil //", new: "//", test: "TestWithLeavesTheCallerAlone",
	},
	mutation{
		rule: "the first error ends the chain", how: "it goes on",
		file: hook, old: "if err := hook(ctx, network, address, c); err != nil {\n\t\t\t\treturn err\n\t\t\t}", new: "if err := hook(ctx, network, address, c); err != nil {\n\t\t\t\tdefer func() {}()\n\t\t\t}", test: "TestWithOrder",
	},
	mutation{
		rule: "hooks run in order", how: "backwards",
		file: hook, old: "for _, hook := range others {", new: "for i := range others {\n\t\t\thook := others[len(others)-1-i]", test: "TestWithOrder",
	},
	mutation{
		rule: "hooks get the dial's context", how: "another",
		file: hook, old: "if err := hook(ctx, network", new: "if err := hook(context.Background(), network", test: "TestWithContext",
	},
	mutation{
		rule: "listening hooks get context.Background", how: "nil",
		file: hook, old: "return all(context.Background(), network, address, c)", new: "return all(nil, network, address, c)", test: "TestWithListenOrder",
	},
	mutation{
		rule: "the caller's listening Control runs first", how: "it is lost",
		file: hook, old: "own = withoutContext(nlc.Control)", new: "own = nil", test: "TestWithListenOrder",
	},
	mutation{
		rule: "nil hooks are left out", how: "they run",
		file: hook, old: "return h == nil })", new: "return false })", test: "TestWithOrder",
	},
	mutation{
		rule: "later changes of the slice do not reach the copy", how: "they do",
		file: hook, old: "slices.DeleteFunc(slices.Clone(hooks),", new: "slices.DeleteFunc(hooks,", test: "TestWithLeavesTheCallerAlone",
	},
	mutation{
		rule: "without any hook the copy has just what the caller had", how: "Control moves to ControlContext",
		file: hook, old: "if len(hooks) == 0 {\n\t\treturn &nd\n\t}", new: "if len(hooks) == 0 && nd.Control == nil {\n\t\treturn &nd\n\t}", test: "TestWithoutHooksNothingChanges",
	},
)
