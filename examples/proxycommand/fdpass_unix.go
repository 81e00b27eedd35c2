//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// canFdpass returns an error if this system cannot pass a connection to another
// process.
func canFdpass() error { return nil }

// takesDescriptor checks, before the program connects, that stdout can carry a
// descriptor. With ProxyUseFdpass it is a Unix socket to ssh. Another socket would
// send the one byte and silently drop the descriptor.
func takesDescriptor(stdout io.Writer) error {
	f, ok := stdout.(*os.File)
	if !ok {
		return errNoSocket
	}
	fd := int(f.Fd())
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return errNoSocket
	}
	local, err := unix.Getsockname(fd)
	if _, ok := local.(*unix.SockaddrUnix); err == nil && !ok { // if err != nil, it may still be a Unix socket
		return errNoSocket
	}
	return nil
}

var errNoSocket = errors.New("-fdpass: standard output is not a Unix socket; ssh needs \"ProxyUseFdpass yes\" too")

// passDescriptor sends a duplicate of the connection's descriptor to ssh, with
// the one byte of data that ssh's mm_receive_fd expects beside it.
func passDescriptor(stdout io.Writer, conn *dscp.Conn) error {
	f, err := conn.File() // not pinned: ssh can change the mark
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Sendmsg(int(stdout.(*os.File).Fd()), []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
	if err != nil {
		return fmt.Errorf("-fdpass: passing the connection to %s to ssh: %w", conn.RemoteAddr(), os.NewSyscallError("sendmsg", err))
	}
	return nil
}
