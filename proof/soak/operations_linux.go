package main

// An operation is one step of a worker. An error is a failure; errors that the
// operation expects are counted instead.
type operation struct {
	name string
	run  func(w *worker) error
}

// operations has equal chances for each entry.
var operations = []operation{
	{"transfer", transfer}, {"transfer", transfer}, {"transfer", transfer},
	{"transfer, box", transferThroughBox}, {"transfer, box", transferThroughBox}, {"transfer, box", transferThroughBox},
	{"fallback", fallback}, {"fallback", fallback},
	{"datagrams", datagrams}, {"datagrams", datagrams},
	{"changed mark", changeMark},
	{"lost SYN", loseSYN},
	{"abort", abort},
	{"box closed", closeBox},
	{"refused", refused},
	{"cancelled", cancel},
	{"listener closed", closeListener},
	{"deadline", deadline},
}
