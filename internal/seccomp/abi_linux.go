package seccomp

import "golang.org/x/sys/unix"

// An ABI is one of the ways in which programs on a machine call the kernel. Each has
// other system call numbers. If a filter checked only numbers, a program could evade it
// with calls in another ABI.
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

// The numbers of two calls in socketcall(2).
const (
	SocketcallSocket     = 1
	SocketcallSetsockopt = 14
)

// The calls of io_uring have the same numbers in every ABI.
const (
	firstURing = 425 // io_uring_setup, io_uring_enter, io_uring_register
	lastURing  = 427
)

// ABIs returns the known ABIs of this machine, that of this program first. It returns
// nil on a machine with no known ABI, and on 386, where Go's net uses socketcall(2).
func ABIs() []ABI { return abis }

// In adds what then adds, for calls in abi. Calls in an ABI with the same Arch, x32,
// fail with ENOSYS.
func (p *Program) In(abi ABI, then func()) {
	p.When(func() {
		if abi.Limit != 0 {
			p.When(func() { p.Return(Errno(unix.ENOSYS)) }, Number.AtLeast(abi.Limit))
		}
		then()
	}, Arch.Is(abi.Arch))
}

// RefuseURing makes the calls of io_uring fail with ENOSYS. With io_uring a program can
// make and configure sockets without a system call that a filter sees.
func (p *Program) RefuseURing() {
	p.When(func() { p.Return(Errno(unix.ENOSYS)) }, Number.AtLeast(firstURing), Number.Below(lastURing+1))
}
