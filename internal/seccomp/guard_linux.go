package seccomp

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// An Option is a socket option.
type Option struct{ Level, Name int }

// SecretLength is the length that a call of setsockopt(2) must pass for [Guard] to allow
// it. The kernel accepts more bytes than the four of an int, and ignores them.
const SecretLength = 8

// cookieArg is the argument that carries the cookie: setsockopt(2) has five, so this is
// the sixth.
const cookieArg = 5

// Guard returns a filter under which setsockopt(2) fails with EPERM for the options,
// unless the call has the length [SecretLength] and the cookie in the register of its
// sixth argument, which setsockopt does not have. The filter requires both because the
// register keeps its value: a call right after one with the cookie could have it by
// accident.
//
// In the ABI of 32-bit programs the options cannot be set at all. The calls of io_uring
// fail with ENOSYS, and so do a socketcall(2) that sets an option and all calls in an
// unknown ABI.
//
// If [ABIs] returns none, the error matches [errors.ErrUnsupported].
func Guard(cookie uint64, options ...Option) (*Program, error) {
	if len(ABIs()) == 0 {
		return nil, fmt.Errorf("seccomp: filters for socket calls are not known to work on %s: %w",
			runtime.GOARCH, errors.ErrUnsupported)
	}
	p := new(Program)
	for i, abi := range ABIs() {
		p.In(abi, func() {
			p.RefuseURing()
			p.When(func() { p.guard(options, i == 0, cookie) }, Number.Is(abi.Setsockopt))
			if abi.Socketcall != 0 {
				p.When(func() { p.Return(Errno(unix.ENOSYS)) }, Number.Is(abi.Socketcall), Arg(0).Is(SocketcallSetsockopt))
			}
			p.Return(Allow)
		})
	}
	p.Return(Errno(unix.ENOSYS))
	return p, nil
}

// guard decides about setsockopt. A cookie needs a register of 64 bits: wide.
func (p *Program) guard(options []Option, wide bool, cookie uint64) {
	for _, o := range options {
		p.When(func() {
			if wide {
				p.When(func() { p.Return(Allow) },
					Arg(4).Is(SecretLength), Arg(cookieArg).Is(uint32(cookie)), ArgHigh(cookieArg).Is(uint32(cookie>>32)))
			}
			p.Return(Errno(unix.EPERM))
		}, Arg(1).Is(uint32(o.Level)), Arg(2).Is(uint32(o.Name)))
	}
}
