package dscp

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestErrorsNameTheMarkOnce passes errors that name the code point already, since the
// hook made them. They must not change.
func TestErrorsNameTheMarkOnce(t *testing.T) {
	t.Parallel()
	for _, inner := range []error{
		&MarkError{CodePoint: AF21, Option: "IP_TOS", Err: errors.New("refused")},
		&dialError{cp: AF21, err: errors.New("timed out")},
		&UnsupportedError{OS: "plan10", Network: "tcp4", Option: "IP_TOS", CodePoint: AF21},
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}, Err: inner}
		assert.Same(t, err, withCodePoint(err, AF21))
	}
}

// transient is an error of net that is a timeout and temporary.
type transient struct{ error }

func (transient) Timeout() bool   { return true }
func (transient) Temporary() bool { return true }

// TestErrorsReportTimeoutAsTheirReason proves that Timeout and Temporary of an error that
// names the mark, and of the [net.OpError] around it, report what its reason reports.
func TestErrorsReportTimeoutAsTheirReason(t *testing.T) {
	t.Parallel()
	for _, want := range []bool{true, false} {
		reason := errors.New("reason")
		if want {
			reason = fmt.Errorf("wrapped: %w", transient{reason})
		}
		for _, err := range []error{
			&MarkError{CodePoint: AF21, Option: "IP_TOS", Err: reason},
			&dialError{cp: AF21, err: reason},
		} {
			op := &net.OpError{Op: "dial", Net: "tcp", Err: err}
			for _, e := range []net.Error{err.(net.Error), op} {
				assert.Equal(t, want, e.Timeout(), "%v", e)
				assert.Equal(t, want, e.(interface{ Temporary() bool }).Temporary(), "%v", e)
			}
			assert.ErrorIs(t, op, reason)
		}
	}
}
