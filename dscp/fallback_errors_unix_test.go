//go:build unix

package dscp

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorTriggersFallback(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp4", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}, Err: err}
	}
	connect := func(errno syscall.Errno) error { return dial(os.NewSyscallError("connect", errno)) }
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"ETIMEDOUT":          {connect(syscall.ETIMEDOUT), true},
		"i/o timeout":        {dial(os.ErrDeadlineExceeded), true},
		"EHOSTUNREACH":       {connect(syscall.EHOSTUNREACH), true},
		"ENETUNREACH":        {connect(syscall.ENETUNREACH), true},
		"EPERM":              {connect(syscall.EPERM), true},
		"EACCES":             {connect(syscall.EACCES), true},
		"cancelled":          {dial(context.Canceled), true},
		"ECONNREFUSED":       {connect(syscall.ECONNREFUSED), true},
		"ECONNRESET":         {connect(syscall.ECONNRESET), true},
		"EHOSTDOWN":          {connect(syscall.EHOSTDOWN), true},
		"ENOPROTOOPT":        {connect(syscall.ENOPROTOOPT), true},
		"EADDRINUSE":         {connect(syscall.EADDRINUSE), false},
		"no such host":       {dial(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		"name server silent": {dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), false},
		"mark refused":       {dial(&MarkError{CodePoint: EF, Option: "IPV6_TCLASS", Err: syscall.EPERM}), false},
		"mark unsupported":   {dial(&UnsupportedError{OS: "plan10", Err: errors.New("no")}), false},
		"the caller's hook":  {dial(errors.New("mine")), false},
		"its EPERM":          {dial(syscall.EPERM), false},
		"its ECONNREFUSED":   {dial(os.NewSyscallError("getsockopt", syscall.ECONNREFUSED)), false},
		"EACCES of bind":     {dial(os.NewSyscallError("bind", syscall.EACCES)), false},
		"EPERM of socket":    {dial(os.NewSyscallError("socket", syscall.EPERM)), false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, triggersFallback(tt.err))
		})
	}
}

// What a dial with several marks returns when none came up.
func TestFallbackFailure(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	refusal, timeout := dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), dial(os.ErrDeadlineExceeded)
	f := &fallback{network: "tcp", address: "192.0.2.1:22"}
	for name, tt := range map[string]struct {
		errs []error
		text string
	}{
		"all refused":           {[]error{refusal, refusal}, "dial tcp: connect: connection refused"},
		"the first was refused": {[]error{refusal, timeout}, "dial tcp 192.0.2.1:22: with DSCP EF: dial tcp: connect: connection refused; with DSCP DF: dial tcp: i/o timeout"},
		"no time for another":   {[]error{refusal, errNotStarted}, "dial tcp 192.0.2.1:22: with DSCP EF: dial tcp: connect: connection refused; with DSCP DF: not started"},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.failure([]CodePoint{EF, DF}, tt.errs)
			require.EqualError(t, err, tt.text)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		})
	}
}
