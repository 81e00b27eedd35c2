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

// takesDescriptor finds out before there is a connection whether ssh will take
// it. With ProxyUseFdpass, standard output is a unix socket to ssh.
func takesDescriptor(stdout io.Writer) error {
	f, ok := stdout.(*os.File)
	if !ok {
		return errNoSocket
	}
	if kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return errNoSocket
	}
	return nil
}

var errNoSocket = errors.New("-fdpass: standard output is not a socket; ssh needs \"ProxyUseFdpass yes\" too")

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
