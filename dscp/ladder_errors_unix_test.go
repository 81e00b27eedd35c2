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
)

func TestEarnsRung(t *testing.T) {
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
		"ECONNREFUSED":       {connect(syscall.ECONNREFUSED), false},
		"ECONNRESET":         {connect(syscall.ECONNRESET), false},
		"EADDRINUSE":         {connect(syscall.EADDRINUSE), false},
		"no such host":       {dial(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		"name server silent": {dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), false},
		"mark refused":       {dial(&MarkError{CodePoint: EF, Option: "IPV6_TCLASS", Err: syscall.EPERM}), false},
		"mark unsupported":   {dial(&UnsupportedError{OS: "plan10", Err: errors.New("no")}), false},
		"the caller's hook":  {dial(errors.New("mine")), false},
		"its EPERM":          {dial(syscall.EPERM), false},
		"EACCES of bind":     {dial(os.NewSyscallError("bind", syscall.EACCES)), false},
		"EPERM of socket":    {dial(os.NewSyscallError("socket", syscall.EPERM)), false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, earnsRung(tt.err))
		})
	}
}
