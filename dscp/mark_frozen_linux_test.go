package dscp_test

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/seccomp"
)

// TestFrozenMark dials from a process whose sockets keep one mark, as under
// examples/pinexec. A dial with that mark succeeds. A dial with another mark fails with
// an error that names the mark that the socket keeps.
func TestFrozenMark(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skipf("on %s all socket calls share one number, so a filter cannot distinguish them", runtime.GOARCH)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	// The filter makes setsockopt of IP_TOS do nothing, except with a length of 8.
	const frozen = 8
	var p seccomp.Program
	p.When(func() { p.Return(seccomp.Errno(0)) }, seccomp.Number.Is(unix.SYS_SETSOCKOPT),
		seccomp.Arg(1).Is(unix.IPPROTO_IP), seccomp.Arg(2).Is(unix.IP_TOS), seccomp.Arg(4).IsNot(frozen))
	p.Return(seccomp.Allow)
	freeze := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			octet := uint64(dscp.AF21.TOS())
			unix.Syscall6(unix.SYS_SETSOCKOPT, fd, unix.IPPROTO_IP, unix.IP_TOS, uintptr(unsafe.Pointer(&octet)), frozen, 0)
		})
	}
	refused, dialed := make(chan error), make(chan error)
	go func() {
		runtime.LockOSThread() // the thread, and its filter, ends with the goroutine
		if err := p.Install(); err != nil {
			refused <- err
			return
		}
		close(refused)
		for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.EF} {
			c, err := (&dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Control: freeze}}).Dial("tcp", l.Addr().String())
			if err == nil {
				c.Close()
			}
			dialed <- err
		}
	}()
	if err := <-refused; err != nil {
		t.Skipf("cannot install a seccomp filter: %v", err)
	}
	require.NoError(t, <-dialed)
	err = <-dialed
	var mark *dscp.MarkError
	require.ErrorAs(t, err, &mark)
	assert.Equal(t, dscp.EF, mark.CodePoint)
	assert.Equal(t, "IP_TOS", mark.Option)
	assert.Contains(t, err.Error(), "dscp: IP_TOS = EF (0xb8): the socket stays at AF21 (0x48), as it does under pinexec")
	assert.False(t, errors.Is(err, errors.ErrUnsupported))
}
