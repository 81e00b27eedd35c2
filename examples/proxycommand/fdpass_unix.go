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

// canFdpass reports whether this system can hand a connection over at all.
func canFdpass() error { return nil }

// takesDescriptor finds out before there is a connection whether ssh will take
// it. With ProxyUseFdpass, standard output is a Unix socket to ssh: another socket
// would take the one octet that is sent and lose the descriptor without a word.
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
	if _, ok := local.(*unix.SockaddrUnix); err == nil && !ok { // an address that cannot be read may be a Unix socket's
		return errNoSocket
	}
	return nil
}

var errNoSocket = errors.New("-fdpass: standard output is not a Unix socket; ssh needs \"ProxyUseFdpass yes\" too")

// passDescriptor sends a duplicate of the connection's descriptor to ssh, with
// the one byte of data that ssh's mm_receive_fd expects beside it.
func passDescriptor(stdout io.Writer, conn *dscp.Conn) error {
	f, err := conn.File() // one of the two ways out of a pin: from here on the mark is ssh's to keep
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Sendmsg(int(stdout.(*os.File).Fd()), []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
	if err != nil {
		return fmt.Errorf("handing the connection to %s over: %w", conn.RemoteAddr(), os.NewSyscallError("sendmsg", err))
	}
	return nil
}
