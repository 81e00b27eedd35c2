package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
)

func TestKindOf(t *testing.T) {
	for want, err := range map[kind]error{
		timeout:   &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded},
		cancelled: &net.OpError{Op: "dial", Err: context.Canceled},
		refusal:   os.NewSyscallError("connect", syscall.ECONNREFUSED),
		reset:     os.NewSyscallError("read", syscall.ECONNRESET),
		pipe:      os.NewSyscallError("write", syscall.EPIPE),
		short:     io.ErrUnexpectedEOF,
		closed:    net.ErrClosed,
		midFlow:   dscp.ErrMidFlow,
		other:     syscall.EMFILE,
	} {
		assert.Equal(t, want, kindOf(err), "%v", err)
	}
	assert.Equal(t, other, kindOf(errors.Join(syscall.ECONNRESET, errWrong)), "nothing excuses a wrong byte")
}

func TestMay(t *testing.T) {
	tally := newTally(io.Discard, 1)
	assert.NoError(t, tally.may("x", nil, reset))
	assert.NoError(t, tally.may("x", syscall.ECONNRESET, timeout, reset))
	assert.ErrorIs(t, tally.may("x", syscall.ECONNRESET, timeout), syscall.ECONNRESET)
	assert.Error(t, tally.must("x", nil, reset))
	assert.Equal(t, map[string]int{"x: connection reset": 1}, tally.errors)
}
