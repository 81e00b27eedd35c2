package seccomp

import "golang.org/x/sys/unix"

// An ABI is one of the ways in which the programs of a machine call its kernel,
// each with numbers of its own. A filter that looks at numbers alone lets a
// program get past it by calling in another ABI.
type ABI struct {
	Arch uint32 // AUDIT_ARCH_…

	Socket     uint32
	Setsockopt uint32

	// Socketcall has all socket calls under one number, with their arguments in
	// memory, where a filter cannot read them. 0: the ABI has none.
	Socketcall uint32

	// Limit is the number from which on the calls belong to another ABI that has
	// the same Arch: x32. 0: there is none.
	Limit uint32
}

// The numbers that socketcall(2) gives to two of its calls.
const (
	SocketcallSocket     = 1
	SocketcallSetsockopt = 14
)

// The calls of io_uring have the same numbers in every ABI.
const (
	firstURing = 425 // io_uring_setup, io_uring_enter, io_uring_register
	lastURing  = 427
)

// ABIs returns those of this machine that are known, the one in which this
// program calls first, or nil where the package knows none, or the program's own
// has no calls but socketcall(2) that Go's net makes: 386.
func ABIs() []ABI { return abis }

// In adds what then adds, for calls in abi. Calls of an ABI that has the same
// Arch, x32, fail with ENOSYS.
func (p *Program) In(abi ABI, then func()) {
	p.When(func() {
		if abi.Limit != 0 {
			p.When(func() { p.Return(Errno(unix.ENOSYS)) }, Number.AtLeast(abi.Limit))
		}
		then()
	}, Arch.Is(abi.Arch))
}

// RefuseURing has the calls of io_uring fail with ENOSYS. Through a ring a
// program makes and configures sockets without a system call that a filter sees.
func (p *Program) RefuseURing() {
	p.When(func() { p.Return(Errno(unix.ENOSYS)) }, Number.AtLeast(firstURing), Number.Below(lastURing+1))
}
