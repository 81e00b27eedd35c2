package dscp

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestErrorsNameTheMarkOnce has errors that name the code point already, since
// the hook made them, come through as they are.
func TestErrorsNameTheMarkOnce(t *testing.T) {
	t.Parallel()
	for _, inner := range []error{
		&MarkError{CodePoint: AF21, Option: "IP_TOS", Err: errors.New("refused")},
		&dialError{AF21, errors.New("timed out")},
		&UnsupportedError{OS: "plan10", Network: "tcp4", Option: "IP_TOS", CodePoint: AF21},
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}, Err: inner}
		assert.Same(t, err, withCodePoint(err, AF21))
	}
}
