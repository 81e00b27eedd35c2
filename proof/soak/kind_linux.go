package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"github.com/godscp/godscp/dscp"
)

// A kind is a class of errors that an operation can expect.
type kind string

const (
	timeout   kind = "timeout"
	cancelled kind = "cancelled"
	refusal   kind = "connection refused"
	reset     kind = "connection reset"
	pipe      kind = "broken pipe"
	short     kind = "ended early"
	closed    kind = "closed here"
	midFlow   kind = "mid-flow"
	behind    kind = "fell behind, and reported it"
	other     kind = "other"
)

// torn are the errors of a connection that the other side has reset: the reader and
// the writer may get different ones.
var torn = []kind{reset, pipe, short}

// kindOf returns the kind of an error.
func kindOf(err error) kind {
	switch {
	case errors.Is(err, errWrong):
		return other
	case errors.Is(err, dscp.ErrMidFlow):
		return midFlow
	case errors.Is(err, syscall.ECONNREFUSED):
		return refusal
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ENOTCONN):
		return reset
	case errors.Is(err, syscall.EPIPE):
		return pipe
	case errors.Is(err, context.Canceled):
		return cancelled
	case errors.Is(err, net.ErrClosed):
		return closed
	case errors.Is(err, io.ErrUnexpectedEOF):
		return short
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return timeout
	}
	return other
}

// may counts err if it is nil or of one of the kinds, and returns it if not.
func (t *tally) may(what string, err error, kinds ...kind) error {
	if err == nil {
		return nil
	}
	k := kindOf(err)
	if !slices.Contains(kinds, k) {
		return fmt.Errorf("%s: %w", what, err)
	}
	t.expected(what, k)
	return nil
}

// must is may, but the error has to come.
func (t *tally) must(what string, err error, kinds ...kind) error {
	if err == nil {
		return fmt.Errorf("%s: no error, want one of %q", what, kinds)
	}
	return t.may(what, err, kinds...)
}
