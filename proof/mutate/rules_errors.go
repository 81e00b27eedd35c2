package main

const errorsGo = "dscp/errors.go"

var errorRules = part("Errors",
	mutation{
		rule: "an UnsupportedError matches errors.ErrUnsupported", how: "it does not",
		file: errorsGo, old: "return target == errors.ErrUnsupported", new: "return target == nil", test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "it names the network", how: "it does not",
		file: errorsGo, old: `s += " on " + e.Network`, new: `s += ""`, test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "it names the option", how: "it does not",
		file: errorsGo, old: `s += ": " + e.Option`, new: `s += ""`, test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "it names the code point", how: "it does not",
		file: errorsGo, old: `s += " for " + e.CodePoint.String()`, new: `s += ""`, test: "TestUnmarkableSystemsAreUnsupported",
	},
	mutation{
		rule: "a MarkError names option and code point", how: "the option is missing",
		file: errorsGo, old: `(0x%02x): %v", e.Option,`, new: `(0x%02x): %v", "",`, test: "TestMarkFails",
	},
	mutation{
		rule: "errors.Is looks into a MarkError", how: "it ends there",
		file: errorsGo, old: "func (e *MarkError) Unwrap() error { return e.Err }", new: "func (e *MarkError) Unwrap() error { return nil }", test: "TestMarkFails",
	},
	mutation{
		rule: "a timeout of net is a timeout", how: "it does not",
		file: errorsGo, old: "return ok && t.Timeout()", new: "return ok && t.Timeout() && false", test: "TestDialKeepsNetErrors",
	},
	mutation{
		rule: "net's errors name the code point", how: "they do not",
		file: errorsGo, old: "marked.Err = &dialError{cp: cp, err: op.Err}", new: "marked.Err = op.Err", test: "TestDialKeepsNetErrors",
	},
	mutation{
		rule: "a zero Dialer's errors are net's own", how: "they name DF",
		file: errorsGo, old: "if !ok || cp == DF || op.Addr", new: "if !ok || op.Addr", test: "TestDialKeepsNetErrors",
	},
	mutation{
		rule: "an error names the code point once", how: "a MarkError gets another around it",
		file: errorsGo, old: "if _, ok := errors.AsType[*MarkError](err); ok {\n\t\treturn err", new: "if _, ok := errors.AsType[*MarkError](err); ok && false {\n\t\treturn err", test: "TestErrorsNameTheMarkOnce",
	},
	mutation{
		rule: "an error names the code point once", how: "an UnsupportedError gets another around it",
		file: errorsGo, old: "if _, ok := errors.AsType[*UnsupportedError](err); ok {\n\t\treturn err", new: "if _, ok := errors.AsType[*UnsupportedError](err); ok && false {\n\t\treturn err", test: "TestErrorsNameTheMarkOnce",
	},
	mutation{
		rule: "errors of unix sockets stay net's", how: "they name a mark",
		file: errorsGo, old: " || !markable(op.Net) {", new: " {", test: "TestUnixPassesThrough",
	},
	mutation{
		rule: "an error from before the call of net names the address", how: "it does not",
		file: errorsGo, old: `if address != "" {` + "\n\t\te.Addr", new: `if address == "" {` + "\n\t\te.Addr", test: "TestDialReportsInvalidInput",
	},
	mutation{
		rule: "errors.Is looks into the error of a marked dial", how: "it ends there",
		file: errorsGo, old: "func (e *dialError) Unwrap() error   { return e.err }", new: "func (e *dialError) Unwrap() error   { return nil }", test: "TestErrorsReportTimeoutAsTheirReason",
	},
	mutation{
		rule: "Temporary of an error is that of its cause", how: "they do not",
		file: errorsGo, old: "return ok && t.Temporary()", new: "return ok && t.Temporary() && false", test: "TestErrorsReportTimeoutAsTheirReason",
	},
)
