package main

const hook = "dialer/hook.go"

var hookRules = part("With and WithListen",
	mutation{
		rule: "With returns a copy", how: "the caller's own",
		file: hook, old: "add(&nd, hooks)\n\treturn &nd", new: "if d == nil {\n\t\td = &nd\n\t}\n\tadd(d, hooks)\n\treturn d",
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
		file: hook, old: "nd.ControlContext = then(own, ours)", new: "nd.ControlContext = ours\n\tif own != nil {\n\t\tnd.ControlContext = then(ours, own)\n\t}", test: "TestWithOrder",
	},
	mutation{
		rule: "hooks run in order", how: "backwards",
		file: hook, old: "all = then(all, next)", new: "all = then(next, all)", test: "TestWithOrder",
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
		file: hook, old: "if err := first(ctx, network, address, c); err != nil {", new: "if err := first(ctx, network, address, c); err != nil && false {", test: "TestWithOrder",
	},
	mutation{
		rule: "hooks get the dial's context", how: "another",
		file: hook, old: "return next(ctx, network", new: "return next(context.Background(), network", test: "TestWithContext",
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
		file: hook, old: "if next != nil {", new: "if true {", test: "TestWithOrder",
	},
	mutation{
		rule: "later changes of the slice do not reach the copy", how: "they do",
		file: hook, old: "all = then(all, next)", new: "all = then(all, func(ctx context.Context, n, a string, c syscall.RawConn) error { return hooks[len(hooks)-1](ctx, n, a, c) })", test: "TestWithLeavesTheCallerAlone",
	},
	mutation{
		rule: "without any hook the copy has just what the caller had", how: "Control moves to ControlContext",
		file: hook, old: "ours := chain(hooks)\n\tif ours == nil {\n\t\treturn\n\t}", new: "ours := chain(hooks)\n\tif ours == nil {\n\t\tours = func(context.Context, string, string, syscall.RawConn) error { return nil }\n\t}", test: "TestWithoutHooksNothingChanges",
	},
)
