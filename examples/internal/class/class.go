// Package class is the flag by which the example programs choose one of the two
// marks of an IPQoS.
package class

import (
	"errors"

	"github.com/godscp/godscp/dscp"
)

// A Class is the kind of traffic on a connection. It works with [flag.TextVar].
type Class string

// The classes.
const (
	Interactive Class = "interactive"
	Bulk        Class = "bulk"
)

// Of returns the mark of q for c.
func (c Class) Of(q dscp.IPQoS) dscp.CodePoint {
	if c == Bulk {
		return q.Bulk
	}
	return q.Interactive
}

// MarshalText implements [encoding.TextMarshaler].
func (c Class) MarshalText() ([]byte, error) { return []byte(c), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Class) UnmarshalText(text []byte) error {
	switch v := Class(text); v {
	case Interactive, Bulk:
		*c = v
		return nil
	}
	return errors.New("want interactive or bulk")
}
