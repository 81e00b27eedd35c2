package main

// An operation is what a worker does at a time. An error is a failure: what may
// go wrong in it is counted instead.
type operation struct {
	name string
	run  func(w *worker) error
}

// operations are drawn from with equal chance.
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
