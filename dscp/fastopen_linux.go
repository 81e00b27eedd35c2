package dscp

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fastOpenOff is a hook that switches TCP Fast Open off. With Fast Open and a cookie
// from an earlier connection, connect succeeds before a SYN is sent: a mark that the
// path drops would seem to work.
func fastOpenOff(_ context.Context, _, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		on, getErr := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT)
		if getErr != nil || on == 0 {
			return // a kernel before 4.11 has no such option
		}
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 0))
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
