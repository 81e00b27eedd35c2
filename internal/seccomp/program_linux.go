package seccomp

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// An Action says what the kernel does with a system call.
type Action uint32

const (
	// Allow makes the call.
	Allow Action = unix.SECCOMP_RET_ALLOW
	// Notify leaves the call to the [Listener].
	Notify Action = unix.SECCOMP_RET_USER_NOTIF
)

// Errno makes the call fail with errno; the kernel does not make it. With 0 the call
// returns 0, as if it had succeeded.
func Errno(errno syscall.Errno) Action {
	return unix.SECCOMP_RET_ERRNO | Action(errno)&unix.SECCOMP_RET_DATA
}

// A Word is one of the 32-bit words that a filter can read about a call, or some bits
// of such a word.
type Word struct {
	offset uint32 // in struct seccomp_data
	mask   uint32
}

// The call's number, and the ABI in which it is made, an AUDIT_ARCH_ constant.
var (
	Number = Word{0, ^uint32(0)}
	Arch   = Word{4, ^uint32(0)}
)

const argsOffset = 16

// Arg returns the lower half of the register with argument n, counted from 0. For an
// int argument that is all: the kernel ignores the upper half.
func Arg(n int) Word { return half(n, cpu.IsBigEndian) }

// ArgHigh returns the upper half of the register with argument n, counted from
// 0. It is 0 in the calls of 32-bit programs.
func ArgHigh(n int) Word { return half(n, !cpu.IsBigEndian) }

func half(n int, second bool) Word {
	if n < 0 || n > 5 {
		panic(fmt.Sprintf("seccomp: system calls have no argument %d", n))
	}
	w := Word{argsOffset + 8*uint32(n), ^uint32(0)}
	if second {
		w.offset += 4
	}
	return w
}

// Bits returns w with the bits outside of mask cleared.
func (w Word) Bits(mask uint32) Word { return Word{w.offset, w.mask & mask} }

// A Test compares a [Word] with a constant. Words are unsigned.
type Test struct {
	word Word
	jump bpf.JumpTest
	val  uint32
}

// Is, IsNot, AtLeast and Below are the tests of a word.
func (w Word) Is(v uint32) Test      { return Test{w, bpf.JumpEqual, v} }
func (w Word) IsNot(v uint32) Test   { return Test{w, bpf.JumpNotEqual, v} }
func (w Word) AtLeast(v uint32) Test { return Test{w, bpf.JumpGreaterOrEqual, v} }
func (w Word) Below(v uint32) Test   { return Test{w, bpf.JumpLessThan, v} }

// A Program is a filter. The zero Program is empty. Each path through a Program must end
// in a Return before it can be installed. It must not be changed and used at the same
// time.
type Program struct {
	code  []bpf.Instruction
	acc   Word // what the accumulator holds, if its mask is not 0
	ended bool // no path goes past the last instruction
}

// Return ends the filter with a.
func (p *Program) Return(a Action) {
	p.code = append(p.code, bpf.RetConstant{Val: uint32(a)})
	p.ended = true
}

// When adds what then adds, for calls that pass all the tests. What is added later is
// for calls that fail a test, and for those for which then did not add a Return.
func (p *Program) When(then func(), tests ...Test) {
	if len(tests) == 0 {
		then()
		return
	}
	p.load(tests[0].word)
	before := p.acc
	at := len(p.code)
	p.code = append(p.code, nil)
	p.ended = false
	p.When(then, tests[1:]...)
	p.leap(at, tests[0])
	// The two paths meet here, unless the first has ended.
	if !p.ended && p.acc != before {
		before = Word{}
	}
	p.acc, p.ended = before, false
}

// leap puts a jump at index at, over all that follows, for calls that fail t. A
// conditional jump can skip 255 instructions at most.
func (p *Program) leap(at int, t Test) {
	if over := len(p.code) - at - 1; over > 255 {
		p.code = append(p.code[:at+1], append([]bpf.Instruction{bpf.Jump{Skip: uint32(over)}}, p.code[at+1:]...)...)
		p.code[at] = bpf.JumpIf{Cond: t.jump, Val: t.val, SkipTrue: 1}
	} else {
		p.code[at] = bpf.JumpIf{Cond: t.jump, Val: t.val, SkipFalse: uint8(over)}
	}
}

// load loads w into the accumulator, unless it is there.
func (p *Program) load(w Word) {
	if p.acc == w && w.mask != 0 {
		return
	}
	p.code = append(p.code, bpf.LoadAbsolute{Off: w.offset, Size: 4})
	if w.mask != ^uint32(0) {
		p.code = append(p.code, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: w.mask})
	}
	p.acc = w
}

// assemble returns the filter in the form that the kernel takes.
func (p *Program) assemble() ([]unix.SockFilter, error) {
	if !p.ended {
		return nil, errors.New("seccomp: a path through the filter does not end in a Return")
	}
	if len(p.code) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("seccomp: the filter has %d instructions, of which Linux takes %d", len(p.code), unix.BPF_MAXINSNS)
	}
	raw, err := bpf.Assemble(p.code)
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}
