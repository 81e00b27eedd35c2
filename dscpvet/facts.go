package dscpvet

import (
	"fmt"
	"strings"
)

// An effect is what a function does to one of its parameters. Parameters are
// counted from 0; the receiver of a method comes first.
type effect struct {
	Socket  int     // the parameter that holds the connection, RawConn or descriptor
	Options options // which options are set on it
	Value   int     // the parameter that holds the value, or -1
	Shift   int     // 2 if the function shifts the value, so that it is a code point
	Lost    bool    // an error of IPV6_TCLASS does not reach the caller
	Returns bool    // an error reaches the caller, and marking is the purpose of the function
	Within  bool    // the parameter holds the socket in a field

	Protocols protocols // of the socket, as far as the function shows
}

// marksParameter is the fact that a function marks sockets that it gets as parameters.
type marksParameter struct{ Effects []effect }

func (*marksParameter) AFact() {}

func (f *marksParameter) String() string {
	var texts []string
	for _, e := range f.Effects {
		text := fmt.Sprintf("%v on parameter %d", e.Options, e.Socket)
		if e.Value >= 0 {
			text += fmt.Sprintf(" from parameter %d<<%d", e.Value, e.Shift)
		}
		texts = append(texts, text)
	}
	return "sets " + strings.Join(texts, ", ")
}

// setsSockopt is the fact that a function passes its parameters on to setsockopt. FD is the parameter of the descriptor, or of the value that holds
// the socket. Level and Option are parameters, too, or -1 where the function
// passes the constant next to them.
type setsSockopt struct {
	FD, Level, Option, Value      int
	ConstantLevel, ConstantOption int64
}

func (*setsSockopt) AFact() {}

func (f *setsSockopt) String() string {
	return fmt.Sprintf("sets a socket option on parameter %d", f.FD)
}
