package seccomp

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// under runs f on a new thread, which is under p.
func under(t *testing.T, p *Program, f func()) {
	t.Helper()
	failed := make(chan error)
	go onNewThread(func() bool {
		err := p.Install()
		if err == nil {
			f()
		}
		failed <- err
		return false
	})
	if err := <-failed; err != nil {
		t.Skipf("no filter can be installed here: %v", err)
	}
}

// call makes a system call that fails with EBADF if the filter allows it.
func call(args ...uintptr) syscall.Errno {
	var a [6]uintptr
	a[0] = ^uintptr(0)
	copy(a[1:], args)
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

func TestTests(t *testing.T) {
	t.Parallel()
	const seen = unix.EXDEV
	high := uintptr(0x12345678)
	wide := uint64(0x9abcdef0_12345678)
	for name, tt := range map[string]struct {
		tests []Test
		pass  [][]uintptr // what follows the first argument
		fail  [][]uintptr
	}{
		"none":                {pass: [][]uintptr{{}, {1}}},
		"is":                  {tests: []Test{Arg(1).Is(7)}, pass: [][]uintptr{{7}}, fail: [][]uintptr{{6}, {8}, {0, 7}}},
		"is not":              {tests: []Test{Arg(1).IsNot(7)}, pass: [][]uintptr{{6}, {8}}, fail: [][]uintptr{{7}}},
		"at least":            {tests: []Test{Arg(2).AtLeast(7)}, pass: [][]uintptr{{0, 7}, {0, 0xffffffff}}, fail: [][]uintptr{{7, 6}}},
		"below":               {tests: []Test{Arg(2).Below(7)}, pass: [][]uintptr{{7, 6}}, fail: [][]uintptr{{0, 7}, {0, 0xffffffff}}},
		"bits":                {tests: []Test{Arg(1).Bits(0xf0).Is(0x30)}, pass: [][]uintptr{{0x30}, {0x13f}}, fail: [][]uintptr{{0x40}, {0xf}}},
		"all of several":      {tests: []Test{Arg(1).Is(1), Arg(2).Is(2), Arg(1).Below(2)}, pass: [][]uintptr{{1, 2}}, fail: [][]uintptr{{1, 1}, {2, 2}}},
		"the number":          {tests: []Test{Number.Is(unix.SYS_SETSOCKOPT)}, pass: [][]uintptr{{}}},
		"another number":      {tests: []Test{Number.Is(unix.SYS_GETSOCKOPT)}, fail: [][]uintptr{{}}},
		"bits, then all bits": {tests: []Test{Arg(1).Bits(1).Is(1), Arg(1).Is(3)}, pass: [][]uintptr{{3}}, fail: [][]uintptr{{1}}},
		"upper half":          {tests: []Test{ArgHigh(0).Is(uint32(uint64(^uintptr(0)) >> 32))}, pass: [][]uintptr{{}}},
		"64 bits": {tests: []Test{Arg(5).Is(uint32(wide)), ArgHigh(5).Is(uint32(wide >> 32))},
			pass: [][]uintptr{{0, 0, 0, 0, uintptr(wide)}},
			fail: [][]uintptr{{0, 0, 0, 0, high}, {0, 0, 0, 0, uintptr(wide) ^ 1}, {uintptr(wide)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "64 bits" && uint64(uintptr(wide)) != wide {
				t.Skip("registers have 32 bits here")
			}
			var p Program
			p.When(func() { p.Return(Errno(seen)) }, append([]Test{Number.Is(unix.SYS_SETSOCKOPT)}, tt.tests...)...)
			p.Return(Allow)
			under(t, &p, func() {
				for _, args := range tt.pass {
					assert.Equal(t, seen, call(args...), "%x", args)
				}
				for _, args := range tt.fail {
					assert.Equal(t, unix.EBADF, call(args...), "%x", args)
				}
			})
		})
	}
}

// TestNested compares the kernel's decisions by random programs with those of Go code. The
// programs have blocks that end and blocks that do not, some longer than a conditional
// jump can skip.
func TestNested(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 200 {
		var p Program
		// decide returns the errno, or 0 if the program goes on.
		var build func(depth int) (decide func(args []uintptr) syscall.Errno)
		build = func(depth int) func([]uintptr) syscall.Errno {
			var steps []func([]uintptr) syscall.Errno
			for range 1 + r.IntN(6) {
				if depth > 1 && r.IntN(8) == 0 {
					e := syscall.Errno(1 + r.IntN(200))
					p.Return(Errno(e))
					return func(args []uintptr) syscall.Errno { return first(steps, args, e) }
				}
				if depth < 5 {
					arg, val, op := 1+r.IntN(3), uint32(r.IntN(4)), r.IntN(4)
					w := Arg(arg)
					mask := ^uint32(0)
					if r.IntN(3) == 0 {
						mask = uint32(r.IntN(4))
						w = w.Bits(mask)
					}
					test := []Test{w.Is(val), w.IsNot(val), w.AtLeast(val), w.Below(val)}[op]
					var inner func([]uintptr) syscall.Errno
					p.When(func() { inner = build(depth + 1) }, test)
					steps = append(steps, func(args []uintptr) syscall.Errno {
						v := uint32(args[arg-1]) & mask
						if [4]bool{v == val, v != val, v >= val, v < val}[op] {
							return inner(args)
						}
						return 0
					})
				}
			}
			return func(args []uintptr) syscall.Errno { return first(steps, args, 0) }
		}
		var decide func([]uintptr) syscall.Errno
		p.When(func() { decide = build(0) }, Number.Is(unix.SYS_SETSOCKOPT))
		p.Return(Allow)
		if len(p.code) > unix.BPF_MAXINSNS/2 {
			continue
		}
		under(t, &p, func() {
			for n := range uintptr(64) {
				args := []uintptr{n & 3, n >> 2 & 3, n >> 4}
				want := decide(args)
				if want == 0 {
					want = unix.EBADF
				}
				if !assert.Equal(t, want, call(args...), "seed %d, program %d of %d instructions, arguments %v", seed, i, len(p.code), args) {
					return
				}
			}
		})
	}
}

func first(steps []func([]uintptr) syscall.Errno, args []uintptr, last syscall.Errno) syscall.Errno {
	for _, step := range steps {
		if e := step(args); e != 0 {
			return e
		}
	}
	return last
}

// TestLongBlock has a block that is longer than a conditional jump can skip.
func TestLongBlock(t *testing.T) {
	t.Parallel()
	lengths := []uint32{1000}
	for n := range uint32(40) { // 255 instructions lie between
		lengths = append(lengths, 100+n)
	}
	for _, n := range lengths {
		var p Program
		p.When(func() {
			p.When(func() {
				for v := range n {
					p.When(func() { p.Return(Errno(unix.EXDEV)) }, Arg(2).Is(v))
				}
			}, Arg(1).Is(1))
			p.Return(Errno(unix.ENOMEM))
		}, Number.Is(unix.SYS_SETSOCKOPT))
		p.Return(Allow)
		under(t, &p, func() {
			assert.Equal(t, unix.EXDEV, call(1, 0))
			assert.Equal(t, unix.EXDEV, call(1, uintptr(n-1)))
			assert.Equal(t, unix.ENOMEM, call(1, uintptr(n)))
			assert.Equal(t, unix.ENOMEM, call(2, 0))
		})
	}
}

// TestIn checks that calls beyond the limit of an ABI fail.
func TestIn(t *testing.T) {
	t.Parallel()
	if ABIs() == nil {
		t.Skip("no ABI of this machine is known")
	}
	const none = 900 // no call has this number
	for limit, want := range map[uint32]syscall.Errno{0: unix.EXDEV, none: unix.ENOSYS, none + 1: unix.EXDEV} {
		var p Program
		p.In(ABI{Arch: ABIs()[0].Arch, Limit: limit}, func() {
			p.When(func() { p.Return(Errno(unix.EXDEV)) }, Number.Is(none))
		})
		p.In(ABI{Arch: ABIs()[1].Arch}, func() { p.Return(Errno(unix.ENOMEM)) })
		p.Return(Allow)
		under(t, &p, func() {
			_, _, errno := unix.RawSyscall(none, 0, 0, 0)
			assert.Equal(t, want, errno, "limit %d", limit)
		})
	}
}

func TestAssembleErrors(t *testing.T) {
	t.Parallel()
	var p Program
	_, err := p.assemble()
	require.ErrorContains(t, err, "does not end in a Return")
	p.When(func() { p.Return(Allow) }, Arg(0).Is(1))
	require.ErrorContains(t, p.Install(), "does not end in a Return")
	p.Return(Allow)
	_, err = p.assemble()
	require.NoError(t, err)
	for v := range uint32(unix.BPF_MAXINSNS) {
		p.When(func() { p.Return(Allow) }, Arg(0).Is(v))
	}
	p.Return(Allow)
	_, err = p.assemble()
	require.ErrorContains(t, err, fmt.Sprintf("of which Linux takes %d", unix.BPF_MAXINSNS))
	assert.Panics(t, func() { Arg(6) })
	assert.Panics(t, func() { ArgHigh(-1) })
}
