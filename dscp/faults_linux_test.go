package dscp_test

import (
	"errors"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/faults"
	"github.com/godscp/godscp/internal/wire"
)

// An operation runs a function of package dscp that makes system calls. It sets up what
// the function needs, runs the function in f.during, compares the result with the
// packets on the wire, and cleans up.
type operation struct {
	name string
	run  func(t *testing.T, f *fault)
}

// A fault makes system calls of an operation fail, or only records them.
type fault struct {
	mask    faults.Mask
	errno   syscall.Errno // 0: no call fails
	made    []faults.Call // all calls, if errno is 0
	failed  []faults.Call // the calls that failed with errno
	capture *wire.Capture // of loopback
}

func (f *fault) during(op func()) {
	if f.errno == 0 {
		f.made = faults.Watch(op)
		return
	}
	f.failed = faults.Inject(f.mask, f.errno, op)
}

// errnos returns the errors that kernels, security modules and sandboxes are known to
// return for a call.
func errnos(c faults.Call) []syscall.Errno {
	all := []syscall.Errno{unix.ENOBUFS, unix.ENOMEM, unix.EPERM, unix.EINVAL}
	switch c.Number {
	case unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT:
		return append(all, unix.ENOPROTOOPT, unix.EOPNOTSUPP)
	case unix.SYS_SOCKET:
		return append(all, unix.EMFILE, unix.EAFNOSUPPORT)
	case unix.SYS_ACCEPT4:
		return append(all, unix.EMFILE, unix.ECONNABORTED)
	case unix.SYS_CONNECT:
		return append(all, unix.EADDRNOTAVAIL, unix.ENETUNREACH)
	case unix.SYS_BIND:
		return append(all, unix.EADDRINUSE)
	}
	return all
}

// lasting are the errors with which a call and all calls after it fail.
var lasting = []syscall.Errno{unix.ENOBUFS, unix.EPERM, unix.EOPNOTSUPP}

// TestFaultAtEveryCall makes every system call of every operation fail, alone and with
// all calls after it, with each of several errors; with -short each call with one of
// them.
func TestFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	if !faults.Inside(t) {
		return
	}
	capture := wire.Start(t, "lo")
	total, calls, operations := 0, 0, 0
	for _, op := range slices.Concat(faultyDials(), faultyListens(), faultyAccepts(), faultyGuards(), faultyDatagrams()) {
		t.Run(op.name, func(t *testing.T) {
			keepGarbage(t)
			f := &fault{capture: capture}
			op.run(t, f) // opens the descriptors that the runtime keeps
			op.run(t, f)
			made, n := f.made, 0
			for i, call := range made {
				for _, errno := range oneIfShort(errnos(call), i) {
					meet(t, op, &fault{mask: faults.Only(i), errno: errno, capture: capture}, call)
					n++
				}
				for _, errno := range oneIfShort(lasting, i) {
					meet(t, op, &fault{mask: faults.From(i), errno: errno, capture: capture}, call)
					n++
				}
			}
			t.Logf("%d system calls, %d faults", len(made), n)
			operations++
			calls += len(made)
			total += n
		})
	}
	t.Logf("%d operations with %d system calls: %d faults", operations, calls, total)
}

// oneIfShort returns all errors, or with -short one that depends on i.
func oneIfShort(all []syscall.Errno, i int) []syscall.Errno {
	if testing.Short() {
		return all[i%len(all):][:1]
	}
	return all
}

// keepGarbage switches the garbage collector off for the test, so that it closes no
// leaked descriptor.
func keepGarbage(t *testing.T) {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

// meet runs op under the fault and requires that it leaves nothing behind.
func meet(t *testing.T, op operation, f *fault, call faults.Call) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Fatalf("the call made to fail was %v with %v (alone: %t); calls that failed: %v", call, f.errno, f.mask&(f.mask-1) == 0, f.failed)
		}
	}()
	before := leftovers(t)
	hung := time.AfterFunc(time.Minute, func() {
		stacks := make([]byte, 1<<20)
		panic("hangs when " + call.String() + " fails: " + f.errno.Error() + "\n" + string(stacks[:runtime.Stack(stacks, true)]))
	})
	defer hung.Stop()
	op.run(t, f)
	requireNothingLeft(t, before)
}

// marking returns the mark option that the failed call sets or reads. ok is false if
// several calls failed, or one for another option.
func (f *fault) marking() (option string, ok bool) {
	if len(f.failed) != 1 {
		return "", false
	}
	switch c := f.failed[0]; {
	case c.Option(unix.IPPROTO_IP, unix.IP_TOS):
		return "IP_TOS", true
	case c.Option(unix.IPPROTO_IPV6, unix.IPV6_TCLASS):
		return "IPV6_TCLASS", true
	}
	return "", false
}

// explains checks the error for the fault: it names the operation, the network, the
// address and the code point, and errors.Is and errors.As find its cause.
func (f *fault) explains(t *testing.T, err error, op, network, address string, cp dscp.CodePoint) {
	t.Helper()
	require.NotEmpty(t, f.failed, "nothing failed: %v", err)
	oe, ok := err.(*net.OpError)
	require.True(t, ok, "%T: %v", err, err)
	assert.Contains(t, strings.Split(op, ", "), oe.Op, "%v", err)
	assert.True(t, strings.HasPrefix(oe.Net, network), "%s: %v", oe.Net, err)
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return // has the name but no field for the errno, and nothing was marked
	}
	assert.Contains(t, err.Error(), address)
	require.ErrorIs(t, err, f.errno)
	if cp == dscp.DF {
		return
	}
	assert.Contains(t, err.Error(), cp.String())
	if option, ok := f.marking(); ok && oe.Op != "pin" {
		lacking := f.errno == unix.ENOPROTOOPT || f.errno == unix.EOPNOTSUPP
		assert.Equal(t, lacking, errors.Is(err, errors.ErrUnsupported), "%v", err)
		assert.Contains(t, err.Error(), option)
		if lacking {
			u, ok := errors.AsType[*dscp.UnsupportedError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, cp, u.CodePoint)
		} else {
			m, ok := errors.AsType[*dscp.MarkError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, cp, m.CodePoint)
			assert.Equal(t, option, m.Option)
			_, ok = errors.AsType[*os.SyscallError](err)
			assert.True(t, ok, "%v", err)
		}
	}
}
